package redisq

import (
	"context"
	"time"
)

// Sweep lets a test decide how long ago is long ago.
func (q *Queue[T]) Sweep(ctx context.Context, idle time.Duration) error { return q.sweep(ctx, idle) }

// Acks is how many acknowledgements wait, and whether others are under way.
func (q *Queue[T]) Acks() (waiting int, busy bool) {
	q.acks.mu.Lock()
	defer q.acks.mu.Unlock()
	return len(q.acks.waiting), q.acks.busy
}
