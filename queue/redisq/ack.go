package redisq

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/queue"
)

const (
	// ackBatch bounds how many leases one script ends, so that it holds the server for a fraction of a millisecond.
	ackBatch = 64
	// ackLimit bounds the round trip of a batch. A caller who is more pressed for time brings a context that ends earlier.
	ackLimit = 10 * time.Second
)

// Ack keeps the contract. One round trip, which it shares with the callers that came while the one before it was under
// way. When ctx ends too early the item may be acknowledged all the same.
func (q *Queue[T]) Ack(ctx context.Context, l queue.Lease[T]) error {
	if err := q.ack(ctx, l); err != nil {
		return fmt.Errorf("acknowledge %s in queue %s: %w", l.Item.ID, q.cfg.Name, err)
	}
	return nil
}

func (q *Queue[T]) ack(ctx context.Context, l queue.Lease[T]) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entry, deliveries := splitToken(l.Token)
	a := &ack{args: [4]any{l.Worker, entry, deliveries, l.Item.ID}, done: make(chan struct{})}
	q.acks.add(a, q.ackAll)
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ackAll acknowledges a batch and notes in each what became of it.
func (q *Queue[T]) ackAll(batch []*ack) {
	// It outlives each caller: one who leaves does not take the others along.
	ctx, cancel := context.WithTimeout(context.Background(), ackLimit)
	defer cancel()
	args := make([]any, 0, len(batch)*len(ack{}.args))
	for _, a := range batch {
		args = append(args, a.args[:]...)
	}
	lost, err := ackScript.Run(ctx, q.rdb, []string{q.stream, q.ids}, args...).Int64Slice()
	for _, a := range batch {
		a.err = err
	}
	for _, i := range lost {
		batch[i].err = queue.ErrLeaseLost
	}
	q.cfg.Metrics.LeasesLost(q.cfg.Kind, len(lost))
}

// ack is one lease on its way to be acknowledged.
type ack struct {
	args [4]any
	done chan struct{} // closed when err is set
	err  error
}

// acks is where acknowledgements wait while others are under way: a group commit. The first one on an idle line starts a
// goroutine that flushes whoever waits until nobody does, so that none runs when there is nothing to do. The zero acks
// is idle.
type acks struct {
	mu      sync.Mutex
	waiting []*ack
	busy    bool // a goroutine is flushing
}

func (s *acks) add(a *ack, flush func([]*ack)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, a)
	if !s.busy {
		s.busy = true
		go s.drain(flush)
	}
}

// drain flushes until nobody waits. Each caller waits for it, except those whose context ended.
func (s *acks) drain(flush func([]*ack)) {
	for batch := s.next(); len(batch) > 0; batch = s.next() {
		flush(batch)
		for _, a := range batch {
			close(a.done)
		}
	}
}

// next takes what waits, as much of it as one batch holds. With nothing the line is idle.
func (s *acks) next() []*ack {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.waiting), ackBatch)
	batch := s.waiting[:n:n]
	s.waiting = s.waiting[n:]
	s.busy = n > 0
	return batch
}
