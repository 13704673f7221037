package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/millrace-ci/millrace/internal/ondisk"
)

// group is the deliveries that share a write to the disk: those that came while the group before it was under way.
type group struct {
	entries []*entry
	records [][]byte
	bytes   int64
	oldest  time.Time

	done chan struct{} // closed when err is set
	err  error
}

// wait returns when the group is on the disk, with an error when it is not. Whoever leaves early may find his delivery
// kept all the same. No group at all is on the disk since the spool was opened.
func (g *group) wait(ctx context.Context) error {
	if g == nil {
		return nil
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join puts an entry and its record into the group that gathers. The caller holds mu. Errors: ErrFull.
func (k *disk) join(e *entry, rec []byte, at time.Time) error {
	size := int64(len(rec))
	switch {
	case k.closed:
		return errClosed
	case k.taken+size+headerBytes > k.max:
		return fmt.Errorf("%w: %s has its %d bytes (spool.max_bytes); files that end in %s can be moved away", ErrFull, k.dir, k.max, damagedSuffix)
	}
	if k.group == nil {
		g := &group{done: make(chan struct{}), oldest: at}
		k.group = g
		k.commits.Go(func() { k.commit(g) })
	}
	g := k.group
	g.entries = append(g.entries, e)
	g.records = append(g.records, rec)
	g.bytes += size
	k.taken += size
	k.writers++
	e.group = g
	k.index.put(e)
	return nil
}

// commit writes a group when the one before it is written, and tells those who wait for it.
func (k *disk) commit(g *group) {
	k.writing.Lock()
	defer k.writing.Unlock()
	k.mu.Lock()
	k.group = nil // whoever comes now waits for the next one
	k.mu.Unlock()
	seg, err := k.write(g)
	if err != nil {
		k.sweep() // a disk that refuses every write must not be left with a file for each
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.writers -= len(g.entries)
	if err != nil {
		g.err = fmt.Errorf("write to the spool: %w", err)
		k.taken -= g.bytes
		for _, e := range g.entries {
			k.index.drop(e)
		}
	} else {
		k.landed(g, seg)
	}
	k.publish()
	close(g.done)
}

// landed notes that a group is on the disk for good.
func (k *disk) landed(g *group, seg *segment) {
	for i, e := range g.entries {
		e.seg, e.off = seg, seg.end
		seg.end += int64(len(g.records[i]))
	}
	g.records = nil // entries hold on to their group, not to the bodies
	seg.records += len(g.entries)
	if k.waiting == 0 {
		k.since = g.oldest
	}
	k.waiting += len(g.entries)
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// write brings a group to the disk, at the end of the segment that it returns. After an error that segment is not
// written to any more: nobody knows what a disk has of a write that failed.
func (k *disk) write(g *group) (*segment, error) {
	seg, err := k.writable()
	if err != nil {
		return nil, err
	}
	off := seg.end
	for _, rec := range g.records {
		seg.mark.seal(rec)
		if _, err := seg.file.WriteAt(rec, off); err != nil {
			return nil, errors.Join(err, k.rollBack(seg))
		}
		off += int64(len(rec))
	}
	if err := k.sync(seg.file); err != nil {
		return nil, errors.Join(err, k.rollBack(seg))
	}
	return seg, nil
}

// rollBack cuts off what was written behind the end of a segment.
func (k *disk) rollBack(seg *segment) error {
	k.current = nil
	k.mu.Lock()
	seg.sealed = true
	k.mu.Unlock()
	if err := seg.file.Truncate(seg.end); err != nil {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

// writable is the segment to write to: the current one, or a new one when that has its size.
func (k *disk) writable() (*segment, error) {
	if c := k.current; c != nil && c.end < k.segmentBytes() {
		return c, nil
	} else if c != nil {
		k.mu.Lock()
		c.sealed, k.current = true, nil
		k.mu.Unlock()
	}
	k.mu.Lock()
	k.seq++
	path := filepath.Join(k.dir, fmt.Sprintf(segmentName, k.seq))
	k.mu.Unlock()
	seg, err := createSegment(path)
	if err == nil {
		err = ondisk.Folder(k.dir)
	}
	if err != nil {
		return nil, errors.Join(err, discard(seg))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.current = seg
	k.segments = append(k.segments, seg)
	k.taken += headerBytes
	return seg, nil
}

// segmentBytes is the size from which on a segment takes no more: small enough that a full spool gives its room back in
// pieces, large enough that there are not many files.
func (k *disk) segmentBytes() int64 { return max(k.max/64, 64<<10) }

// createSegment makes a file with nothing but a header. With an error there may be one to discard.
func createSegment(path string) (*segment, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	h, m := newHeader()
	_, err = f.WriteAt(h, 0)
	return &segment{path: path, file: f, mark: m, end: headerBytes, read: headerBytes}, err
}

// discard removes a segment that nothing was written to.
func discard(s *segment) error {
	if s == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.path))
}
