package spool

import "os"

// What tests need that cut and bend files.
const (
	HeaderBytes   = headerBytes
	DamagedSuffix = damagedSuffix
)

// SetSync has s call f instead of fsync.
func (s *Spool) SetSync(f func(*os.File) error) { s.disk.sync = f }
