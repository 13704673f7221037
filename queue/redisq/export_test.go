package redisq

import (
	"context"
	"time"

	"github.com/millrace-ci/millrace/queue"
)

// Sweep lets a test decide how long ago is long ago.
func (q *Queue[T]) Sweep(ctx context.Context, idle time.Duration) error { return q.sweep(ctx, idle) }

// Acks is how many acknowledgements wait, and whether others are under way.
func (q *Queue[T]) Acks() (waiting int, busy bool) {
	q.acks.mu.Lock()
	defer q.acks.mu.Unlock()
	return len(q.acks.waiting), q.acks.busy
}

// ReadLease reads an entry as lease.lua answers it.
func ReadLease[T any](id string, deliveries int64, fields ...string) (queue.Lease[T], error) {
	flat := make([]any, len(fields))
	for i := range fields {
		flat[i] = fields[i]
	}
	e, err := readEntry([]any{id, deliveries, int64(0), flat})
	if err != nil {
		return queue.Lease[T]{}, err
	}
	return lease[T](e, "worker")
}
