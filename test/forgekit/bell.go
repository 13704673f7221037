package forgekit

import (
	"context"
	"sync"
)

// Bell wakes who waits for a change. The zero value is ready; it is safe for concurrent use.
type Bell struct {
	mu   sync.Mutex
	rung chan struct{} // closed and replaced at each ring; nil: nobody has waited yet
}

// Ring says that something changed.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}

// Wait returns when until is true, which it asks at once and after each ring, or with ctx's cause when ctx ends.
func (b *Bell) Wait(ctx context.Context, until func() bool) error {
	for {
		rung := b.next()
		if until() {
			return nil
		}
		select {
		case <-rung:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// next is closed by the next ring.
func (b *Bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}
