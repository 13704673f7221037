package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// ErrFull means that the spool has no room for the delivery.
var ErrFull = errors.New("the spool is full")

var errClosed = errors.New("the spool is closed")

// disk is a line of deliveries in a folder: added at one end, handed out at the other, gone when they are done. Its
// methods are safe for concurrent use, but next, done, again and tidy belong to the one who drains.
type disk struct {
	dir     string
	max     int64 // bytes of all files
	lock    *os.File
	metrics *metrics.Spool
	log     *slog.Logger
	sync    func(*os.File) error
	wake    chan struct{} // has an element when something was added since somebody looked
	commits sync.WaitGroup
	handed  int // how many were handed out; it belongs to the one who drains

	// writing is held by whoever changes files. It is taken before mu.
	writing sync.Mutex
	current *segment // the one that is written to, nil: none. It belongs to writing.

	mu       sync.Mutex
	closed   bool
	segments []*segment // oldest first
	seq      uint64     // number of the newest segment
	taken    int64      // bytes of all files, and those that are about to be written
	waiting  int        // deliveries that are not done
	since    time.Time  // when the first of them arrived
	writers  int        // deliveries that are on their way into a file
	group    *group     // the next one, while it gathers
	index    index
}

// add puts d at the end of the line. When it returns nil d is on the disk for good. A delivery with the pair of one that
// waits is a duplicate. Errors: ErrFull.
func (k *disk) add(ctx context.Context, d triggers.Delivery) (inbox.Receipt, error) {
	rec, err := encode(d)
	if err != nil {
		return inbox.Receipt{}, err
	}
	e := newEntry(d)
	k.mu.Lock()
	first := k.index.byPair[e.pair]
	if first == nil {
		err = k.join(e, rec, d.At)
	}
	k.mu.Unlock()
	switch {
	case err != nil:
		return inbox.Receipt{}, err
	case first != nil:
		return inbox.Receipt{ID: first.id, Duplicate: true}, first.group.wait(ctx)
	}
	return inbox.Receipt{ID: d.ID}, e.group.wait(ctx)
}

// ordinary is more than most deliveries take, in bytes.
const ordinary = 64 << 10

// hasRoom tells whether an ordinary delivery fits.
func (k *disk) hasRoom() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.closed && k.taken+ordinary+headerBytes <= k.max
}

// find returns a delivery that waits, if it is on the disk for good and the index knows it.
func (k *disk) find(id string) (triggers.Delivery, bool) {
	k.mu.Lock()
	e := k.index.byID[id]
	if e == nil || e.seg == nil {
		k.mu.Unlock()
		return triggers.Delivery{}, false
	}
	seg, off, end := e.seg, e.off, e.seg.end
	k.mu.Unlock()
	d, _, err := seg.at(off, end)
	return d, err == nil
}

// empty tells whether nothing waits and nothing is being added.
func (k *disk) empty() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.waiting == 0 && k.writers == 0
}

// held is a delivery that was handed out.
type held struct {
	triggers.Delivery
	seg    *segment
	off    int64
	number int // how many were handed out before it
	tries  int // how often it was refused while others were kept
}

// next hands out the oldest delivery that was not handed out yet; ok is false when there is none. It passes over what
// is damaged.
func (k *disk) next() (h *held, ok bool) {
	for {
		k.mu.Lock()
		seg := k.unread()
		if seg == nil {
			k.mu.Unlock()
			return nil, false
		}
		off, end := seg.read, seg.end
		k.mu.Unlock()
		d, next, err := seg.at(off, end)
		k.passed(seg, next, err)
		if err == nil {
			k.handed++
			return &held{Delivery: d, seg: seg, off: off, number: k.handed}, true
		}
		k.report(seg, off, next, err)
	}
}

// unread is the oldest segment in which there is something to hand out.
func (k *disk) unread() *segment {
	for _, s := range k.segments {
		if s.read < s.end {
			return s
		}
	}
	return nil
}

// passed notes that what stood before next was handed out or, with an error, cannot be.
func (k *disk) passed(s *segment, next int64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.read = next
	if err == nil {
		s.out++
		s.held++
		return
	}
	s.damaged = s.damaged || !errors.Is(err, errTorn)
	if s.read == s.end { // what it had more than was found is lost
		k.waiting -= s.records - s.out
		s.records = s.out
		k.publish()
	}
}

// done says that h need not be kept here any more.
func (k *disk) done(h *held) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h.seg.held--
	k.waiting--
	if e := k.index.byID[h.ID]; e != nil && e.seg == h.seg && e.off == h.off {
		k.index.drop(e)
	}
	k.publish()
}

// again puts h at the end of the line.
func (k *disk) again(ctx context.Context, h *held) error {
	rec, err := encode(h.Delivery)
	if err != nil {
		return err
	}
	e := newEntry(h.Delivery)
	k.mu.Lock()
	err = k.join(e, rec, h.At)
	k.mu.Unlock()
	if err != nil {
		return err
	}
	if err := e.group.wait(ctx); err != nil {
		return err
	}
	k.done(h)
	return nil
}

// tidy closes the segment that is written to, if it is spent, and sweeps.
func (k *disk) tidy() {
	k.writing.Lock()
	defer k.writing.Unlock()
	k.mu.Lock()
	if c := k.current; c != nil && c.spent() {
		c.sealed, k.current = true, nil
	}
	k.mu.Unlock()
	k.sweep()
}

// sweep removes the segments that are spent, and sets aside those of them with damage. The caller holds writing.
func (k *disk) sweep() {
	k.mu.Lock()
	var spent, rest []*segment
	for _, s := range k.segments {
		if s.sealed && s.spent() {
			spent = append(spent, s)
		} else {
			rest = append(rest, s)
		}
	}
	k.segments = rest
	k.mu.Unlock()
	for _, s := range spent {
		k.remove(s)
	}
}

// publish tells the metrics what the spool holds. The caller holds mu.
func (k *disk) publish() {
	if k.waiting == 0 {
		k.since = time.Time{}
	}
	k.metrics.Holds(k.waiting, k.taken, k.since)
}

// report says that a record is lost, or that a write did not finish.
func (k *disk) report(s *segment, off, next int64, err error) {
	attrs := []any{"file", s.path, "offset", off, "bytes", next - off, "err", err}
	if errors.Is(err, errTorn) {
		k.metrics.Spooled("torn")
		k.log.Warn("the spool ends in a write that did not finish: nobody was told that it was kept", attrs...)
		return
	}
	k.metrics.Spooled("damaged")
	k.log.Error("DELIVERY LOST in the spool, its record is damaged: the file is set aside when the rest is drained; have the forge deliver it again", attrs...)
}

// close waits until nothing is written any more, and unlocks the folder. What waits is drained by the next one who
// opens it.
func (k *disk) close() error {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.commits.Wait()
	k.writing.Lock()
	defer k.writing.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	var errs []error
	for _, s := range k.segments {
		errs = append(errs, s.file.Close())
	}
	k.segments, k.current = nil, nil
	return errors.Join(append(errs, k.lock.Close())...)
}

// remove is the end of a segment that is spent and stands in no list any more. The caller holds writing. It waits for no
// disk: a file that is there again after a loss of power is drained again by the next who opens the folder.
func (k *disk) remove(s *segment) {
	err := s.file.Close()
	if s.damaged {
		err = errors.Join(err, os.Rename(s.path, s.path+damagedSuffix))
	} else if gone := os.Remove(s.path); gone != nil {
		err = errors.Join(err, gone)
	} else {
		k.mu.Lock()
		k.taken -= s.end
		k.publish()
		k.mu.Unlock()
	}
	if err != nil {
		k.log.Error("a drained file of the spool was not removed", "file", s.path, "err", fmt.Errorf("remove segment: %w", err))
	}
}
