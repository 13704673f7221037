package spool

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"

	"github.com/millrace-ci/millrace/triggers"
)

// A segment is a file of records, one after the other, behind a header:
//
//	8 bytes  magic, whose last digit is the version
//	8 bytes  mark, random
//	4 bytes  CRC32C of these
//
// Each record begins with a frame:
//
//	8 bytes  the segment's mark
//	4 bytes  length of what follows the frame
//	4 bytes  CRC32C of what follows the frame
//	4 bytes  CRC32C of the length and of that CRC
//
// The mark is where reading goes on behind a damaged record. No sender knows it, so that nothing in a body can pass for a
// record. The frame has a CRC of its own because its length tells a write that power cut short from a damaged record.
const (
	magic       = "MRSPOOL1"
	headerBytes = 20
	frameBytes  = 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// What may be found where a record should be.
var (
	errTorn    = errors.New("a write that did not finish")
	errDamaged = errors.New("damaged")
	errVersion = errors.New("written by a version of Millrace that writes spools in another way")
)

type mark [8]byte

// newHeader is the header of a new segment, and its mark.
func newHeader() ([]byte, mark) {
	h := append(make([]byte, 0, headerBytes), magic...)
	var m mark
	_, _ = rand.Read(m[:]) // It never fails.
	h = append(h, m[:]...)
	return binary.LittleEndian.AppendUint32(h, crc32.Checksum(h, castagnoli)), m
}

// readHeader returns the mark of the segment in r, which ends at end. With errDamaged the mark is that of the first
// record, if one can be read. Errors: errTorn, errVersion, errDamaged.
func readHeader(r io.ReaderAt, end int64) (mark, error) {
	h := make([]byte, headerBytes+len(mark{}))
	n, err := r.ReadAt(h, 0)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return mark{}, fmt.Errorf("%w header: %w", errDamaged, err)
	case n < headerBytes:
		return mark{}, errTorn
	case crc32.Checksum(h[:16], castagnoli) == binary.LittleEndian.Uint32(h[16:]):
		if string(h[:8]) != magic {
			return mark{}, errVersion
		}
		return mark(h[8:16]), nil
	}
	m := mark(h[headerBytes:])
	if _, _, err := m.payload(r, headerBytes, end); err != nil {
		return mark{}, fmt.Errorf("%w header", errDamaged)
	}
	return m, fmt.Errorf("%w header", errDamaged)
}

// seal fills the frame of rec in, which encode made.
func (m mark) seal(rec []byte) {
	copy(rec, m[:])
	binary.LittleEndian.PutUint32(rec[8:], uint32(len(rec)-frameBytes))
	binary.LittleEndian.PutUint32(rec[12:], crc32.Checksum(rec[frameBytes:], castagnoli))
	binary.LittleEndian.PutUint32(rec[16:], crc32.Checksum(rec[8:16], castagnoli))
}

// payload reads the record at off in r, which ends at end. next is where the one after it begins, also of a record that
// cannot be read. Errors: errTorn, errDamaged.
func (m mark) payload(r io.ReaderAt, off, end int64) (payload []byte, next int64, err error) {
	if end-off < frameBytes {
		return nil, end, errTorn
	}
	frame := make([]byte, frameBytes)
	if _, err := r.ReadAt(frame, off); err != nil {
		return nil, end, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if !m.begins(frame) {
		return m.skip(r, off, end)
	}
	next = off + frameBytes + int64(binary.LittleEndian.Uint32(frame[8:]))
	if next > end {
		return nil, end, errTorn
	}
	payload = make([]byte, next-off-frameBytes)
	if _, err := r.ReadAt(payload, off+frameBytes); err != nil {
		return nil, next, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(frame[12:]) {
		return nil, next, errDamaged
	}
	return payload, next, nil
}

// begins tells whether b begins with a sound frame.
func (m mark) begins(b []byte) bool {
	return len(b) >= frameBytes && mark(b) == m && crc32.Checksum(b[8:16], castagnoli) == binary.LittleEndian.Uint32(b[16:])
}

// skip finds the next sound frame behind what is none. Nothing but zeros up to the end is a write that did not finish:
// some file systems make the file longer before they write what is in it.
func (m mark) skip(r io.ReaderAt, off, end int64) ([]byte, int64, error) {
	const step = 64 << 10
	zeros := true
	page := make([]byte, min(step+frameBytes-1, end-off)) // so that no frame is cut in two
	for at := off; at < end; at += step {
		n, err := r.ReadAt(page[:min(int64(len(page)), end-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, end, fmt.Errorf("%w: %w", errDamaged, err)
		}
		for i := range bytesAt(page[:n], m[:]) {
			if m.begins(page[i:n]) {
				return nil, at + int64(i), errDamaged
			}
		}
		zeros = zeros && len(bytes.Trim(page[:n], "\x00")) == 0
	}
	if zeros {
		return nil, end, errTorn
	}
	return nil, end, errDamaged
}

// bytesAt are the places of what in b.
func bytesAt(b, what []byte) iter.Seq[int] {
	return func(yield func(int) bool) {
		for from := 0; ; from++ {
			i := bytes.Index(b[from:], what)
			if i < 0 {
				return
			}
			if from += i; !yield(from) {
				return
			}
		}
	}
}

// segment is one file. What changes belongs to the disk's mutex.
type segment struct {
	path string
	file *os.File
	mark mark

	end     int64 // where the records end that are on the disk for good
	records int   // how many there are, as far as anybody knows
	sealed  bool  // nothing is written any more
	damaged bool  // it is set aside, not removed

	read int64 // where next goes on
	out  int   // how many records were handed out
	held int   // how many of these are not done yet
}

// at reads the delivery at off, of what ends at end. See mark.payload.
func (s *segment) at(off, end int64) (triggers.Delivery, int64, error) {
	payload, next, err := s.mark.payload(s.file, off, end)
	if err != nil {
		return triggers.Delivery{}, next, err
	}
	d, err := decode(payload)
	if err != nil {
		err = fmt.Errorf("%w: %w", errDamaged, err)
	}
	return d, next, err
}

// spent tells whether all that can be read was handed out and is done.
func (s *segment) spent() bool { return s.read == s.end && s.held == 0 }
