package queuetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/queue"
)

// outcome is how a Lease in another goroutine ended.
type outcome struct {
	leases []queue.Lease[string]
	err    error
	at     time.Time
}

// later leases in the background. Nothing tells from outside that a Lease waits, so the pause makes it likely.
func (l line) later(ctx context.Context, worker string) <-chan outcome {
	ended := make(chan outcome, 1)
	go func() {
		leases, err := l.q.Lease(ctx, worker, 10)
		ended <- outcome{leases, err, time.Now()}
	}()
	select {
	case o := <-ended:
		l.t.Fatalf("lease of an empty line: got %v, %v, want it to wait", ids(o.leases), o.err)
	case <-time.After(50 * time.Millisecond):
	}
	return ended
}

func wakesAtPush(t *testing.T, l line) {
	ctx, cancel := l.context()
	defer cancel()
	waiting := l.later(ctx, "w")
	start := time.Now()
	l.push("a")
	wokeAtOnce(t, start, <-waiting)
}

func returnWakes(t *testing.T, l line) {
	ctx, cancel := l.context()
	defer cancel()
	l.push("a")
	held := l.one("w1", "a")
	waiting := l.later(ctx, "w2")
	start := time.Now()
	l.giveBack(held, 0)
	wokeAtOnce(t, start, <-waiting)
}

// wokeAtOnce tells a wake-up, which takes a millisecond, from a look once a second.
func wokeAtOnce(t *testing.T, start time.Time, o outcome) {
	t.Helper()
	if o.err != nil || len(o.leases) != 1 || o.leases[0].Item.ID != "a" {
		t.Fatalf("waiting lease: got %v, %v, want a", ids(o.leases), o.err)
	}
	if took := o.at.Sub(start); took > 700*time.Millisecond {
		t.Errorf("waiting lease: woke after %v, want at once", took)
	}
}

func leaseEndsWithContext(t *testing.T, l line) {
	ctx, cancel := context.WithCancel(t.Context())
	waiting := l.later(ctx, "w")
	start := time.Now()
	cancel()
	o := <-waiting
	if !errors.Is(o.err, context.Canceled) || len(o.leases) > 0 {
		t.Errorf("lease: got %v, %v, want nothing and %v", ids(o.leases), o.err, context.Canceled)
	}
	if took := o.at.Sub(start); took > 700*time.Millisecond {
		t.Errorf("lease: ended %v after its context, want at once", took)
	}
	l.push("a")
	if leases, err := l.q.Lease(ctx, "w", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("lease with an ended context: got %v, %v, want %v", ids(leases), err, context.Canceled)
	}
	l.one("w", "a")
}

// endedLeaseLosesNothing ends a context while an item comes in, again and again, so that all orders of the two happen.
func endedLeaseLosesNothing(t *testing.T, l line) {
	for i := range 50 {
		id := fmt.Sprintf("item-%d", i)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan outcome, 1)
		go func() {
			leases, err := l.q.Lease(ctx, "leaver", 10)
			ended <- outcome{leases: leases, err: err}
		}()
		var both sync.WaitGroup
		both.Go(func() { l.push(id) })
		both.Go(cancel)
		both.Wait()
		o := <-ended
		switch {
		case o.err == nil && len(o.leases) == 1:
			l.ack(o.leases[0])
		case errors.Is(o.err, context.Canceled) && len(o.leases) == 0:
			l.ack(l.one("stayer", id))
		default:
			t.Fatalf("lease: got %v, %v, want the item or %v", ids(o.leases), o.err, context.Canceled)
		}
	}
	l.len(queue.Length{})
}

// holdersAreAlone lets workers lease and return the same few items and looks at nobody but the holder holding one.
func holdersAreAlone(t *testing.T, l line) {
	l.push(numbered(5)...)
	var mu sync.Mutex
	holder := map[string]string{}
	var all sync.WaitGroup
	for w := range 4 {
		worker := fmt.Sprintf("w%d", w)
		all.Go(func() {
			for range 25 {
				for _, lease := range l.lease(worker, 1) {
					mu.Lock()
					if other := holder[lease.Item.ID]; other != "" {
						t.Errorf("%s leased %s while %s held it", worker, lease.Item.ID, other)
					}
					holder[lease.Item.ID] = worker
					mu.Unlock()
					l.renew(lease)
					mu.Lock()
					holder[lease.Item.ID] = ""
					mu.Unlock()
					l.giveBack(lease, 0)
				}
			}
		})
	}
	all.Wait()
	l.len(queue.Length{Ready: 5})
}

func workersDoEachOnce(t *testing.T, l line) {
	const items = 1000
	ctx, cancel := l.context()
	defer cancel()
	var mu sync.Mutex
	done := map[string]int{}
	var all sync.WaitGroup
	for w := range 10 {
		all.Go(func() {
			for {
				leases, err := l.q.Lease(ctx, fmt.Sprintf("w%d", w), 1+w)
				if err != nil {
					return
				}
				for _, lease := range leases {
					l.ack(lease)
				}
				mu.Lock()
				for _, lease := range leases {
					done[lease.Item.ID]++
				}
				if len(done) == items {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	l.push(numbered(items)...)
	all.Wait()
	for _, id := range numbered(items) {
		if done[id] != 1 {
			t.Errorf("%s: done %d times, want once", id, done[id])
		}
	}
	l.len(queue.Length{})
}
