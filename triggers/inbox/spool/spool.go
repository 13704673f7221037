// Package spool is a disk in front of an inbox: while the inbox behind it cannot be reached, deliveries are kept in a
// folder of this machine, and handed on in order when it is back. Whoever has an inbox calls it instead of that one; it
// calls that one and the disk. It never looks into a body, and promises nothing that an fsync does not.
package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// DefaultPatience leaves time for the disk within the 250 ms in which a delivery is to be answered.
const DefaultPatience = 150 * time.Millisecond

// perByte is the patience that each byte of a body adds: 25 MiB take 800 ms to be compressed, sent and synced.
const perByte = time.Second / (32 << 20)

// Config is what a spool needs.
type Config struct {
	// Dir is the folder, for this process alone. It should lie on a disk that outlives the process.
	Dir string
	// MaxBytes bounds the bytes of all files in Dir. 0 switches the spool off: what Dir holds is drained, and nothing is added.
	MaxBytes int64
	// Patience is how long the inbox behind may take to keep a small delivery. Large bodies get a second for each 32 MiB
	// more. Default: DefaultPatience.
	Patience time.Duration
	// Metrics says what the spool holds.
	Metrics *metrics.Spool
	// Log hears when the inbox behind goes away and comes back, and of damage.
	Log *slog.Logger
}

// Validate reports all that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	missing := func(what string, is bool) {
		if is {
			errs = append(errs, fmt.Errorf("spool: no %s", what))
		}
	}
	missing("folder", c.Dir == "")
	missing("metrics", c.Metrics == nil)
	missing("logger", c.Log == nil)
	if c.MaxBytes < 0 || c.Patience < 0 {
		errs = append(errs, errors.New("spool: the bound of its bytes or its patience is negative"))
	}
	return errors.Join(errs...)
}

// Spool is an inbox.Inbox. What it does not do itself the inbox behind it does.
//
// While that one answers, and the spool holds nothing, a delivery goes straight to it. One that it fails to keep in time
// goes to the disk, and so does every one after it, at once, until Run has handed on all that the disk holds: so nobody
// overtakes a delivery that came before him, and an inbox that is half dead costs its patience once and not each time.
// This starves nobody: Run hands on from the front what others add at the end, and what comes too fast for it makes the
// spool full, which is answered with an error.
type Spool struct {
	inbox.Inbox
	cfg  Config
	disk *disk

	mu   sync.Mutex
	away error // why the inbox behind is taken to be away, nil: it is not
}

// New opens the spool that cfg describes in front of behind, with what an earlier process left in it. It fails when the
// folder cannot be written or another process has it. It starts nothing and asks behind nothing; see Run and Close.
func New(cfg Config, behind inbox.Inbox) (*Spool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Patience == 0 {
		cfg.Patience = DefaultPatience
	}
	k, err := openDisk(cfg)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	return &Spool{Inbox: behind, cfg: cfg, disk: k}, nil
}

// Close unlocks the folder, after Run has returned. What comes later is not spooled, and nothing that was is lost.
func (s *Spool) Close() error { return s.disk.close() }

// Keep is inbox.Inbox's: nil means that the inbox behind has d, or that it is on this disk for good, where others that
// come at the same time share the wait for it. While the spool holds anything a duplicate is told only of what it holds
// too; any other is sorted out by the inbox behind when d is handed on, which may also find that it had kept d when it
// failed to say so. Errors: ErrFull, with that of the inbox behind, which alone is returned when the spool is off.
func (s *Spool) Keep(ctx context.Context, d triggers.Delivery) (inbox.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return inbox.Receipt{}, fmt.Errorf("keep delivery: %w", err)
	}
	if s.cfg.MaxBytes == 0 {
		return s.Inbox.Keep(ctx, d)
	}
	if s.near() {
		r, err := s.tryKeep(ctx, d)
		if err == nil || ctx.Err() != nil { // a caller who has gone is told nothing
			return r, err
		}
		s.leave(err)
	}
	r, err := s.disk.add(ctx, d)
	if err == nil {
		if !r.Duplicate {
			s.cfg.Metrics.Spooled("spooled")
		}
		return r, nil
	}
	s.cfg.Metrics.Spooled("refused")
	return inbox.Receipt{}, fmt.Errorf("keep delivery: %w", s.refused(err))
}

// Takes tells whether a delivery would be kept on this disk now, for all that is known.
func (s *Spool) Takes() bool { return s.cfg.MaxBytes > 0 && s.disk.hasRoom() }

// Get is inbox.Inbox's. A delivery that is on this disk, and that the inbox behind does not give, is not planned yet.
// While that one is away it is not asked for what is here.
func (s *Spool) Get(ctx context.Context, id string) (inbox.Record, error) {
	d, ok := s.disk.find(id)
	if !ok {
		return s.Inbox.Get(ctx, id)
	}
	if s.isAway() {
		return inbox.Record{Delivery: d}, nil
	}
	if r, err := s.Inbox.Get(ctx, id); err == nil { // it may have more to say
		return r, nil
	}
	return inbox.Record{Delivery: d}, nil
}

// tryKeep has the inbox behind keep d within our patience.
func (s *Spool) tryKeep(ctx context.Context, d triggers.Delivery) (inbox.Receipt, error) {
	soon, cancel := context.WithTimeout(ctx, s.patience(d))
	defer cancel()
	return s.Inbox.Keep(soon, d)
}

func (s *Spool) patience(d triggers.Delivery) time.Duration {
	return s.cfg.Patience + time.Duration(len(d.Body))*perByte
}

// near tells whether a delivery may go straight to the inbox behind.
func (s *Spool) near() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.away == nil && s.disk.empty()
}

func (s *Spool) isAway() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.away != nil
}

// leave notes that the inbox behind is away.
func (s *Spool) leave(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away == nil {
		s.cfg.Log.Warn("the inbox cannot be reached: deliveries go to the spool on this disk", "dir", s.cfg.Dir, "err", why)
	}
	s.away = why
}

// comeBack notes that the inbox behind is there, if it has all that the spool held.
func (s *Spool) comeBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil && s.disk.empty() {
		s.away = nil
		s.cfg.Log.Info("the inbox is back, and the spool is empty")
	}
}

// refused is err, of the disk, with the reason why the disk was asked.
func (s *Spool) refused(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		err = fmt.Errorf("%w; and the inbox: %w", err, s.away)
	}
	if s.disk.empty() {
		s.away = nil // there is nothing that Run could find out with
	}
	return err
}
