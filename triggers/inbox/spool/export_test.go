package spool

import (
	"encoding/binary"
	"hash/crc32"
	"os"
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
