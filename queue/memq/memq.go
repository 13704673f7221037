// Package memq is a queue in memory: for tests, also inside a testing/synctest bubble, and for running a pipeline on a
// laptop. Whoever wants a queue.Queue without Redis calls it; it calls nobody. It refuses to outlive its process.
package memq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/queue"
)

// defaultLeaseTime is that of redisq.
const defaultLeaseTime = 10 * time.Second

// Config is how a Queue behaves.
type Config struct {
	LeaseTime time.Duration // how long a lease lasts unless it is renewed; 0: 10 s
}

// Queue keeps the contract of queue.Queue. An item whose lease ran out stays its holder's until somebody else leases it:
// a holder that was late may still renew, acknowledge or return it.
type Queue[T any] struct {
	leaseTime time.Duration

	mu      sync.Mutex
	line    []*entry[T] // everything in line, oldest first
	handed  uint64      // how many leases were given out
	dead    []grave[T]  // in the order of their burial
	buried  uint64      // how many burials there were
	changed chan struct{}
}

// entry is an item in line.
type entry[T any] struct {
	item   queue.Item[T]
	pushed time.Time
	tries  int
	token  string    // of the lease it is under; empty: under none
	freeAt time.Time // from then on anybody may lease it
}

// New returns an empty queue.
func New[T any](cfg Config) *Queue[T] {
	if cfg.LeaseTime == 0 {
		cfg.LeaseTime = defaultLeaseTime
	}
	return &Queue[T]{leaseTime: cfg.LeaseTime, changed: make(chan struct{})}
}

// Push keeps the contract.
func (q *Queue[T]) Push(_ context.Context, items ...queue.Item[T]) error {
	if slices.ContainsFunc(items, func(i queue.Item[T]) bool { return i.ID == "" }) {
		return errors.New("push: an item has no id")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, item := range items {
		if q.find(item.ID) < 0 {
			now := time.Now()
			q.line = append(q.line, &entry[T]{item: item, pushed: now, freeAt: now})
		}
	}
	q.wake()
	return nil
}

// Lease keeps the contract.
func (q *Queue[T]) Lease(ctx context.Context, worker string, limit int) ([]queue.Lease[T], error) {
	if limit < 1 {
		return nil, fmt.Errorf("lease: limit is %d, want at least 1", limit)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		leases, changed, next := q.take(worker, limit)
		if len(leases) > 0 {
			return leases, nil
		}
		wait(ctx, changed, next)
	}
}

// wait returns when something happened in the line, when an item's time has come, or when ctx ends.
func wait(ctx context.Context, changed <-chan struct{}, next time.Time) {
	var due <-chan time.Time
	if !next.IsZero() {
		timer := time.NewTimer(time.Until(next))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
	case <-changed:
	case <-due:
	}
}

// take leases what is free. When that is nothing, changed is closed at the next change of the line, and next is when
// an item becomes free by itself; zero: none does.
func (q *Queue[T]) take(worker string, limit int) (leases []queue.Lease[T], changed <-chan struct{}, next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for _, e := range q.line {
		if len(leases) == limit {
			break
		}
		if !e.freeAt.After(now) {
			leases = append(leases, q.hand(e, worker, now))
		} else if next.IsZero() || e.freeAt.Before(next) {
			next = e.freeAt
		}
	}
	return leases, q.changed, next
}

func (q *Queue[T]) hand(e *entry[T], worker string, now time.Time) queue.Lease[T] {
	q.handed++
	e.tries++
	e.token = strconv.FormatUint(q.handed, 10)
	e.freeAt = now.Add(q.leaseTime)
	return queue.Lease[T]{Item: e.item, Worker: worker, Token: e.token, Tries: e.tries, Pushed: e.pushed}
}

// Renew keeps the contract.
func (q *Queue[T]) Renew(_ context.Context, leases ...queue.Lease[T]) (lost []queue.Lease[T], err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range leases {
		if i := q.held(l); i >= 0 {
			q.line[i].freeAt = time.Now().Add(q.leaseTime)
		} else {
			lost = append(lost, l)
		}
	}
	return lost, nil
}

// Ack keeps the contract.
func (q *Queue[T]) Ack(_ context.Context, l queue.Lease[T]) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := q.held(l)
	if i < 0 {
		return fmt.Errorf("acknowledge %s: %w", l.Item.ID, queue.ErrLeaseLost)
	}
	q.line = slices.Delete(q.line, i, i+1)
	return nil
}

// Return keeps the contract. The item keeps its place in line.
func (q *Queue[T]) Return(_ context.Context, l queue.Lease[T], after time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := q.held(l)
	if i < 0 {
		return fmt.Errorf("return %s: %w", l.Item.ID, queue.ErrLeaseLost)
	}
	q.line[i].token = ""
	q.line[i].freeAt = time.Now().Add(min(max(after, 0), q.leaseTime))
	q.wake()
	return nil
}

// Len keeps the contract.
func (q *Queue[T]) Len(context.Context) (queue.Length, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	var n queue.Length
	for _, e := range q.line {
		if e.token != "" && e.freeAt.After(now) {
			n.Leased++
		} else {
			n.Ready++
		}
	}
	return n, nil
}

func (q *Queue[T]) find(id string) int {
	return slices.IndexFunc(q.line, func(e *entry[T]) bool { return e.item.ID == id })
}

// held finds the item that is still l's; -1: the lease is lost.
func (q *Queue[T]) held(l queue.Lease[T]) int {
	return slices.IndexFunc(q.line, func(e *entry[T]) bool { return e.item.ID == l.Item.ID && e.token != "" && e.token == l.Token })
}

// wake lets every Lease that waits look again.
func (q *Queue[T]) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}
