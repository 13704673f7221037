package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"github.com/millrace-ci/millrace/triggers"
)

// What tests need that cut and bend files.
const (
	HeaderBytes   = headerBytes
	DamagedSuffix = damagedSuffix
)

// SetSync has s call f instead of fsync.
func (s *Spool) SetSync(f func(*os.File) error) { s.disk.sync = f }

// Gathered is how many deliveries wait for the write after the one that is under way.
func (s *Spool) Gathered() int {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	if s.disk.group == nil {
		return 0
	}
	return len(s.disk.group.entries)
}

// ReadSegment reads a whole segment as the spool does. It returns an error when reading does not go forward.
func ReadSegment(data []byte) ([]triggers.Delivery, error) {
	r, end := bytes.NewReader(data), int64(len(data))
	m, err := readHeader(r, end)
	if err != nil && (m == mark{}) {
		return nil, nil
	}
	var all []triggers.Delivery
	for off := int64(headerBytes); off < end; {
		payload, next, err := m.payload(r, off, end)
		if next <= off || next > end {
			return nil, fmt.Errorf("from %d it goes on at %d of %d", off, next, end)
		}
		if err == nil {
			if d, bad := decode(payload); bad == nil {
				all = append(all, d)
			}
		} else if !errors.Is(err, errTorn) && !errors.Is(err, errDamaged) {
			return nil, err
		}
		off = next
	}
	return all, nil
}

// RoundTrip is d as it comes back from a record.
func RoundTrip(d triggers.Delivery) (triggers.Delivery, error) {
	rec, err := encode(d)
	if err != nil {
		return d, err
	}
	return decode(rec[frameBytes:])
}

// Reseal makes the checksums of a segment right, as far as the lengths in it lead.
func Reseal(data []byte) []byte {
	data = append([]byte{}, data...)
	if len(data) < headerBytes {
		return data
	}
	copy(data, magic)
	binary.LittleEndian.PutUint32(data[16:], crc32.Checksum(data[:16], castagnoli))
	m := mark(data[8:16])
	for off := headerBytes; off+frameBytes <= len(data); {
		next := off + frameBytes + int(binary.LittleEndian.Uint32(data[off+8:]))
		if next > len(data) {
			break
		}
		m.seal(data[off:next])
		off = next
	}
	return data
}
