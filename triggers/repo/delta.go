package repo

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// maxChain is how many deltas may stand on top of each other: git's own bound.
const maxChain = 4095

// deltas is what is known of a pack's deltas while their bases are looked for.
type deltas struct {
	waiting  map[plumbing.Hash]int32      // by the name of their base: the first of a list, see entry.next
	resolved map[plumbing.ObjectType]bool // kinds whose deltas have their hash
}

func newDeltas() deltas {
	return deltas{waiting: map[plumbing.Hash]int32{}, resolved: map[plumbing.ObjectType]bool{}}
}

// adopt puts delta i with the other deltas of its base, which comes earlier in the pack or is given by name.
func (p *pack) adopt(i int32, h *packfile.ObjectHeader) error {
	e := &p.entries[i]
	if h.Type == plumbing.REFDeltaObject {
		first, ok := p.waiting[h.Reference]
		if ok {
			e.next = first
		}
		p.waiting[h.Reference] = i
		return nil
	}
	at, ok := slices.BinarySearchFunc(p.entries[:i], h.OffsetReference, func(e entry, offset int64) int {
		return cmp.Compare(e.offset, offset)
	})
	if !ok {
		return fmt.Errorf("a delta of nothing at offset %d", h.OffsetReference)
	}
	base := &p.entries[at]
	e.next, base.child = base.child, i
	e.base = int32(at)
	return nil
}

// resolve gives the deltas of the kind their hashes, as far as the limits reach. It is no error that they do not: whoever
// misses an object asks for that one.
func (p *pack) resolve(kind plumbing.ObjectType) error {
	if p.resolved[kind] {
		return nil
	}
	p.resolved[kind] = true
	for i := range p.entries {
		e := &p.entries[i]
		if e.kind != kind || e.base != none || !p.fertile(int32(i)) {
			continue
		}
		data, err := p.inflated(int32(i))
		if err != nil {
			return err
		}
		if err := p.descend(int32(i), data, 1); err != nil {
			return err
		}
	}
	return nil
}

// fertile tells whether an object has deltas and may be taken into memory for them.
func (p *pack) fertile(i int32) bool {
	e := &p.entries[i]
	if _, named := p.waiting[e.hash]; !named && e.child == none {
		return false
	}
	return p.affordable(e.size)
}

// affordable tells whether an object of n bytes may be made, and takes it off the limit.
func (p *pack) affordable(n int64) bool {
	if n > maxObject || n > p.limits.patched {
		return false
	}
	p.limits.patched -= n
	return true
}

// descend gives the deltas of base, whose content is data, their hashes, and then theirs.
func (p *pack) descend(base int32, data []byte, depth int) error {
	p.limits.live -= int64(len(data))
	defer func() { p.limits.live += int64(len(data)) }()
	if p.limits.live < 0 || depth > maxChain {
		return nil
	}
	for i := range p.children(base) {
		if err := p.graft(i, base, data, depth); err != nil {
			return err
		}
	}
	return nil
}

// children lists the deltas of base. Those that named it are its own from now on.
func (p *pack) children(base int32) iter.Seq[int32] {
	lists := []int32{p.entries[base].child, none}
	if named, ok := p.waiting[p.entries[base].hash]; ok {
		lists[1] = named
		delete(p.waiting, p.entries[base].hash)
	}
	return func(yield func(int32) bool) {
		for _, i := range lists {
			for ; i != none; i = p.entries[i].next {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// graft makes delta i of base an object in its own right, and goes on with its deltas.
func (p *pack) graft(i, base int32, data []byte, depth int) error {
	e, kind := &p.entries[i], p.entries[base].kind
	if err := p.limits.alive(); err != nil || !p.affordable(e.size) {
		return err
	}
	raw, err := p.inflated(i)
	if err != nil {
		return err
	}
	result, err := packfile.PatchDelta(data, raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHostile, err)
	}
	e.kind, e.base, e.hash = kind, base, plumbing.ComputeHash(kind, result)
	if !p.fertile(i) {
		return nil
	}
	return p.descend(i, result, depth+1)
}

// inflated reads entry i as it is in the pack: an object, or a delta.
func (p *pack) inflated(i int32) ([]byte, error) {
	s := packfile.NewScanner(p.file)
	h, err := s.SeekObjectHeader(p.entries[i].offset)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDisk, err)
	}
	if h.Length > maxObject { // Of a delta only its result's size was looked at until now.
		return nil, fmt.Errorf("%w: a delta of %d bytes", ErrHostile, h.Length)
	}
	var buf bytes.Buffer
	if err := inflate(s, h, &buf); err != nil {
		return nil, fmt.Errorf("%w: %w", errDisk, err)
	}
	return buf.Bytes(), nil
}

// prefix keeps the first bytes that are written to it: a delta begins with the sizes of its base and of its result.
type prefix struct {
	data [20]byte
	n    int
}

func (w *prefix) Write(b []byte) (int, error) {
	w.n += copy(w.data[w.n:], b)
	return len(b), nil
}

func (w *prefix) resultSize() (int64, error) {
	r := bytes.NewReader(w.data[:w.n])
	_, err := binary.ReadUvarint(r)
	size, err2 := binary.ReadUvarint(r)
	if err != nil || err2 != nil || size > math.MaxInt64 {
		return 0, errors.New("a delta without sizes") // Not wrapped: its end is not the stream's.
	}
	return int64(size), nil
}
