package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/millrace-ci/millrace/internal/ondisk"
)

// What lies in the folder: the lock, segments by their numbers, and segments that are set aside because of damage.
const (
	lockName      = "lock" // flock(2): held by the process whose spool this is
	segmentName   = "%016x.spool"
	damagedSuffix = ".damaged"
)

var segmentFile = regexp.MustCompile(`^([0-9a-f]{16})\.spool(\.damaged)?$`)

// openDisk opens the folder of cfg, makes it where there is none, and finds what an earlier process left in it.
func openDisk(cfg Config) (*disk, error) {
	lock, err := lockFolder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	k := &disk{
		dir: cfg.Dir, max: cfg.MaxBytes, lock: lock, metrics: cfg.Metrics, log: cfg.Log,
		sync: (*os.File).Sync, wake: make(chan struct{}, 1), index: newIndex(),
	}
	files, err := os.ReadDir(cfg.Dir) // by name, which is by number
	if err != nil {
		return nil, errors.Join(err, k.close())
	}
	for _, f := range files {
		if err := k.load(f); err != nil {
			return nil, errors.Join(fmt.Errorf("read %s: %w", filepath.Join(cfg.Dir, f.Name()), err), k.close())
		}
	}
	k.publish()
	return k, nil
}

// lockFolder makes the folder, for nobody else to read, and locks it.
func lockFolder(dir string) (*os.File, error) {
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // A folder without x cannot be entered.
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("folder %s is in use by another millrace: give this one a folder of its own (spool.dir)", dir)
	}
	return lock, nil
}

// makeFolder makes a folder whose name is on the disk for good.
func makeFolder(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := makeFolder(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return ondisk.Folder(parent)
}

// load takes a file of the folder in. What is none of ours is left alone.
func (k *disk) load(f fs.DirEntry) error {
	if f.Name() == lockName {
		return nil
	}
	parts := segmentFile.FindStringSubmatch(f.Name())
	if parts != nil {
		n, err := strconv.ParseUint(parts[1], 16, 64)
		if err != nil {
			return err
		}
		k.seq = max(k.seq, n)
	}
	if parts == nil || !f.Type().IsRegular() {
		k.log.Warn("the folder of the spool has a file that is none of its own: it is left alone", "file", filepath.Join(k.dir, f.Name()))
		return nil
	}
	info, err := f.Info()
	if err != nil {
		return err
	}
	k.taken += info.Size()
	if parts[2] != "" {
		return nil
	}
	return k.loadSegment(filepath.Join(k.dir, f.Name()), info.Size())
}

// loadSegment opens the file of a segment, which nothing is written to any more, and finds its records.
func (k *disk) loadSegment(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	s := &segment{path: path, file: f, end: size, read: headerBytes, sealed: true}
	s.mark, err = readHeader(f, size)
	switch {
	case err == nil, errors.Is(err, errDamaged) && s.mark != mark{}:
		s.damaged = err != nil
		k.scan(s)
		k.segments = append(k.segments, s)
		return nil
	case errors.Is(err, errVersion):
		k.log.Error("DELIVERIES LEFT in a file of the spool: run the Millrace that wrote it", "file", path, "err", err)
		return f.Close()
	case errors.Is(err, errTorn): // its first record was never on the disk
		s.read = s.end
	default:
		s.damaged, s.read = true, s.end
		k.report(s, 0, size, err)
	}
	k.remove(s)
	return nil
}

// scan counts the records of a segment and puts them into the index. What is damaged is reported when it is its turn.
func (k *disk) scan(s *segment) {
	for off := s.read; off < s.end; {
		payload, next, err := s.mark.payload(s.file, off, s.end)
		if d, _, bad := decodeHead(payload); err == nil && bad == nil {
			e := newEntry(d)
			e.seg, e.off = s, off
			if k.index.byPair[e.pair] == nil {
				k.index.put(e)
			}
			if k.waiting == 0 {
				k.since = d.At
			}
			k.waiting++
			s.records++
		}
		off = next
	}
}
