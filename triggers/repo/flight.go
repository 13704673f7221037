package repo

import (
	"context"
	"sync"
)

// flights lets callers who want the same thing at the same time share one reading of it.
type flights struct {
	mu sync.Mutex
	m  map[key]*flight
}

// flight is one reading and those who wait for it.
type flight struct {
	cancel  context.CancelFunc
	waiting int
	done    chan struct{} // closed when result and err are there
	result  definitions
	err     error
}

// do returns what read returns, or the end of ctx. read runs until its last waiter has left, who then waits until it
// has ended: no goroutine outlives all its callers.
func (g *flights) do(ctx context.Context, k key, read func(context.Context) (definitions, error)) (definitions, error) {
	f := g.join(ctx, k, read)
	select {
	case <-f.done:
		return f.result, f.err
	case <-ctx.Done():
		g.leave(k, f)
		return definitions{}, context.Cause(ctx)
	}
}

func (g *flights) join(ctx context.Context, k key, read func(context.Context) (definitions, error)) *flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f, ok := g.m[k]; ok {
		f.waiting++
		return f
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{cancel: cancel, waiting: 1, done: make(chan struct{})}
	g.m[k] = f
	go func() {
		defer cancel()
		f.result, f.err = read(ctx)
		g.forget(k, f)
		close(f.done)
	}()
	return f
}

func (g *flights) leave(k key, f *flight) {
	g.mu.Lock()
	f.waiting--
	last := f.waiting == 0
	if last && g.m[k] == f { // Nobody joins a flight that is called back.
		delete(g.m, k)
	}
	g.mu.Unlock()
	if last {
		f.cancel()
		<-f.done
	}
}

func (g *flights) forget(k key, f *flight) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.m[k] == f {
		delete(g.m, k)
	}
}
