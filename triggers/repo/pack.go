package repo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// limits bound what is made of a pack; its bytes are bounded before they come here.
type limits struct {
	objects  int
	inflated int64        // bytes of all its objects, deltas as they are
	patched  int64        // bytes of all that is made of deltas
	live     int64        // bytes of deltas on top of each other, which are in memory at once
	alive    func() error // asked before each object: whether to go on
}

// maxObject is the longest object that is taken into memory: the tree of a folder of 200 000 files. git makes no delta
// of what is 32 times as long, so it does for the bases of files up to 256 KiB.
const maxObject = 8 << 20

// pack is the objects that a server sent. It stays on disk; in memory is a short entry for each object. An object is
// known by the hash that we computed, never by what the server calls it. It is not safe for concurrent use.
// Format: https://git-scm.com/docs/pack-format.
type pack struct {
	file    *os.File // without a name: it is gone when it is closed
	limits  limits
	entries []entry // by offset
	deltas
}

// entry is one object. A delta has neither kind nor hash until its base is known.
type entry struct {
	hash   plumbing.Hash
	kind   plumbing.ObjectType
	base   int32 // index of what it is a delta of, or none
	child  int32 // first delta of this one, or none
	next   int32 // next delta of the same base, or none
	offset int64
	size   int64 // inflated; of a delta, what it says that its result has
}

const none = -1

// Close gives the disk back.
func (p *pack) Close() error { return p.file.Close() }

// readPack reads r to the pack's end, in one go and in little memory. It checks each bound before it inflates, and the
// pack's own checksum.
func readPack(r io.Reader, l limits, tempDir string) (*pack, error) {
	file, err := os.CreateTemp(tempDir, "millrace-pack-")
	if err != nil {
		return nil, fmt.Errorf("make room for a pack: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, fmt.Errorf("make room for a pack: %w", err)
	}
	p := &pack{file: file, limits: l, deltas: newDeltas()}
	src := &source{r: r}
	if err := p.scan(src); err != nil {
		file.Close()
		return nil, src.fault(err)
	}
	return p, nil
}

// scan copies the pack to the file and makes the entries.
func (p *pack) scan(src io.Reader) error {
	out := bufio.NewWriterSize(p.file, 64<<10)
	s := packfile.NewScanner(io.TeeReader(src, out))
	_, count, err := s.Header()
	if err != nil {
		return err
	}
	if int64(count) > int64(p.limits.objects) {
		return fmt.Errorf("%w: the pack has %d objects, more than %d", ErrTooLarge, count, p.limits.objects)
	}
	for range count { // The count may be a lie: nothing is allocated for it.
		if err := p.scanObject(s); err != nil {
			return err
		}
	}
	if _, err := s.Checksum(); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errDisk, err)
	}
	return nil
}

func (p *pack) scanObject(s *packfile.Scanner) error {
	h, err := s.NextObjectHeader()
	if err != nil {
		return err
	}
	if err := p.limits.alive(); err != nil {
		return err
	}
	if p.limits.inflated -= h.Length; p.limits.inflated < 0 {
		return fmt.Errorf("%w: the pack unpacks to more than is allowed", ErrTooLarge)
	}
	e := entry{kind: h.Type, base: none, child: none, next: none, offset: h.Offset, size: h.Length}
	switch h.Type {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
		hasher := plumbing.NewHasher(h.Type, h.Length)
		if err := inflate(s, h, hasher); err != nil {
			return err
		}
		e.hash = hasher.Sum()
		p.entries = append(p.entries, e)
		return nil
	case plumbing.OFSDeltaObject, plumbing.REFDeltaObject:
		var head prefix
		if err := inflate(s, h, &head); err != nil {
			return err
		}
		if e.size, err = head.resultSize(); err != nil {
			return err
		}
		e.kind = plumbing.InvalidObject
		p.entries = append(p.entries, e)
		return p.adopt(int32(len(p.entries)-1), h)
	default:
		return fmt.Errorf("an object of type %d", h.Type)
	}
}

// find returns the index of an object, or none.
func (p *pack) find(h plumbing.Hash, kind plumbing.ObjectType) (int32, error) {
	is := func(e entry) bool { return e.hash == h && e.kind == kind }
	if i := slices.IndexFunc(p.entries, is); i >= 0 {
		return int32(i), nil
	}
	if err := p.resolve(kind); err != nil {
		return none, err
	}
	return int32(slices.IndexFunc(p.entries, is)), nil
}

// content returns an object that was found.
func (p *pack) content(i int32) ([]byte, error) {
	if n := p.entries[i].size; n > maxObject {
		return nil, fmt.Errorf("%w: a %s of %d bytes", ErrTooLarge, p.entries[i].kind, n)
	}
	var chain []int32 // From the object down to the one that is whole.
	for ; i != none; i = p.entries[i].base {
		chain = append(chain, i)
	}
	var data []byte
	for _, i := range slices.Backward(chain) {
		raw, err := p.inflated(i)
		if err != nil {
			return nil, err
		}
		if p.entries[i].base == none {
			data = raw
		} else if data, err = packfile.PatchDelta(data, raw); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrHostile, err)
		}
	}
	return data, nil
}

// errDisk marks an error of our own disk, which is nobody's fault.
var errDisk = errors.New("keep a pack while it is read")

// source remembers why a stream ended, since what reads from it reports only that it did.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// fault tells weather (a stream that broke or stopped, a full disk) from a pack that is bad.
func (s *source) fault(err error) error {
	switch {
	case s.err != nil:
		return s.err
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrHostile), errors.Is(err, errDisk):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, packfile.ErrEmptyPackfile):
		return errors.New("the server stopped in the middle of the pack")
	default:
		return fmt.Errorf("%w: %w", ErrHostile, err)
	}
}

// inflate writes the object whose header was read to w, and checks that it is as long as the header says.
func inflate(s *packfile.Scanner, h *packfile.ObjectHeader, w io.Writer) error {
	n, _, err := s.NextObject(w)
	if err == nil && n != h.Length {
		err = fmt.Errorf("an object of %d bytes that should have %d", n, h.Length)
	}
	return err
}
