package redisq

import (
	"context"
	"time"
)

// Sweep lets a test decide how long ago is long ago.
func (q *Queue[T]) Sweep(ctx context.Context, idle time.Duration) error { return q.sweep(ctx, idle) }
