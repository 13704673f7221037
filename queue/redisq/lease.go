package redisq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-ci/millrace/queue"
)

const (
	// handBackLimit bounds the wait for a server that does not answer while we are leaving.
	handBackLimit = time.Second
	// consumerIdle is how long a worker was not seen when its consumer is deleted.
	consumerIdle = time.Hour
)

// Lease keeps the contract. One round trip when an item is free. Else one more to learn the connection's id, and then
// two a second at most until an item arrives, which takes no further one. A lease that ran out is noticed at most a
// second later. An entry that cannot be read is logged and buried: the item is a reference, and who keeps the truth
// pushes it again.
func (q *Queue[T]) Lease(ctx context.Context, worker string, limit int) ([]queue.Lease[T], error) {
	if limit < 1 || worker == "" || worker == freeHolder {
		return nil, fmt.Errorf("lease from queue %s: worker %q with limit %d, want a name and at least 1", q.cfg.Name, worker, limit)
	}
	handed, err := q.next(patient{ctx}, worker, limit)
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), q.handBack(ctx, handed))
	}
	if err != nil {
		return nil, fmt.Errorf("lease from queue %s: %w", q.cfg.Name, err)
	}
	leases := make([]queue.Lease[T], 0, len(handed))
	for _, h := range handed {
		q.cfg.Metrics.Leased(q.cfg.Kind, h.Tries, h.waited)
		if h.expired {
			q.cfg.Metrics.Reclaimed(q.cfg.Kind)
		}
		leases = append(leases, h.Lease)
	}
	return leases, nil
}

// handed is a lease with what is counted of it.
type handed[T any] struct {
	queue.Lease[T]
	waited  time.Duration
	expired bool
}

// next waits for items until ctx ends.
func (q *Queue[T]) next(ctx context.Context, worker string, limit int) ([]handed[T], error) {
	var w *waiter
	for {
		entries, now, err := q.take(ctx, worker, limit)
		if err == nil && len(entries) == 0 {
			if w == nil {
				if w, err = newWaiter(ctx, q.rdb, q.stream, q.cfg.LeaseTime); err != nil {
					return nil, err
				}
				defer w.close() //nolint:gocritic // Once: w is made in the first round that finds nothing.
			}
			entries, err = w.wait(ctx, worker, limit)
		}
		leases := q.read(ctx, entries, worker, now)
		if err != nil || len(leases) > 0 || ctx.Err() != nil {
			return leases, err
		}
	}
}

// take leases what is free now. now is the server's time.
func (q *Queue[T]) take(ctx context.Context, worker string, limit int) (entries []entry, now time.Time, err error) {
	if err := q.sweepHourly(ctx); err != nil {
		return nil, now, err
	}
	answer, err := leaseScript.Run(ctx, q.rdb, []string{q.stream}, worker, limit, milliseconds(q.cfg.LeaseTime)).Slice()
	if err != nil {
		return nil, now, err
	}
	ms, ok := answer[0].(int64)
	if !ok {
		return nil, now, fmt.Errorf("script answered %v, want the time", answer[0])
	}
	for _, a := range answer[1:] {
		e, err := readEntry(a)
		if err != nil {
			return nil, now, err
		}
		entries = append(entries, e)
	}
	return entries, time.UnixMilli(ms), nil
}

// read makes leases of entries, and buries those that it cannot read, so that they do not jam the line.
func (q *Queue[T]) read(ctx context.Context, entries []entry, worker string, now time.Time) []handed[T] {
	var leases []handed[T]
	for _, e := range entries {
		l, err := lease[T](e, worker)
		if err != nil {
			why := "it cannot be read: " + err.Error()
			err = errors.Join(err, q.bury(context.WithoutCancel(ctx), l, why))
			q.cfg.Log.ErrorContext(ctx, "queue entry buried because it cannot be read", "queue", q.cfg.Name, "item", l.Item.ID, "entry", e.id, "err", err)
			continue
		}
		// An item that came while we waited is younger than our last look at the server's clock: it waited for nothing.
		leases = append(leases, handed[T]{l, max(now.Sub(l.Pushed), 0), e.expired})
	}
	return leases
}

// handBack frees leases that reached nobody. The newest goes first, so that all of them keep their places.
func (q *Queue[T]) handBack(ctx context.Context, leases []handed[T]) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), handBackLimit)
	defer cancel()
	var errs []error
	for _, l := range slices.Backward(leases) {
		errs = append(errs, q.Return(ctx, l.Lease, 0))
	}
	return errors.Join(errs...)
}

// sweepHourly sweeps at the first call and then once an hour.
func (q *Queue[T]) sweepHourly(ctx context.Context) error {
	last, now := q.lastSweep.Load(), time.Now()
	if now.Sub(time.Unix(0, last)) < consumerIdle || !q.lastSweep.CompareAndSwap(last, now.UnixNano()) {
		return nil
	}
	return q.sweep(ctx, consumerIdle)
}

// sweep deletes the consumers of workers that were not seen for idle and hold nothing. One round trip.
func (q *Queue[T]) sweep(ctx context.Context, idle time.Duration) error {
	if err := sweepScript.Run(ctx, q.rdb, []string{q.stream}, milliseconds(idle)).Err(); err != nil {
		return fmt.Errorf("sweep consumers: %w", err)
	}
	return nil
}

// patient is a context that ends but tells no deadline. Told one, go-redis may stop reading an answer that is on its way,
// and what was leased by it would be nobody's until the lease runs out.
type patient struct{ context.Context }

func (patient) Deadline() (time.Time, bool) { return time.Time{}, false }
