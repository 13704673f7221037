package redisq_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/queue"
)

// TestAcksShareRoundTrips lets many acknowledgements come while one is under way. Some of the leases are lost, and one of
// the callers has gone.
func TestAcksShareRoundTrips(t *testing.T) {
	t.Parallel()
	const n, lostOnes = 100, 3
	server := redistest.Start(t)
	rdb, other := server.Client(), server.Client()
	q := open(t, rdb, time.Minute)
	push(t, q, numbered(n+1)...)
	held := lease(t, q, "w", n+1)
	if err := q.Ack(t.Context(), held[n]); err != nil { // Now the script is known.
		t.Fatal(err)
	}
	for _, l := range held[:lostOnes] {
		expire(t, rdb, l)
	}
	leased(t, q, "thief", lostOnes)
	before := stats(t, rdb)["evalsha"]
	if err := other.Do(t.Context(), "CLIENT", "PAUSE", "60000", "WRITE").Err(); err != nil {
		t.Fatal(err)
	}
	errs := make([]error, n)
	left, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { errs[0] = q.Ack(t.Context(), held[0]) })
	poll(t, "the first is under way", func() bool { waiting, busy := q.Acks(); return busy && waiting == 0 })
	for i, l := range held[1:n] {
		ctx := t.Context()
		if i+1 == n-1 {
			ctx = left
		}
		all.Go(func() { errs[i+1] = q.Ack(ctx, l) })
	}
	poll(t, "the others wait", func() bool { waiting, _ := q.Acks(); return waiting == n-1 })
	leave()
	if err := other.ClientUnpause(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	for i, err := range errs {
		switch {
		case i < lostOnes && !errors.Is(err, queue.ErrLeaseLost):
			t.Errorf("ack of lost lease %d: got %v, want %v", i, err, queue.ErrLeaseLost)
		case i == n-1 && err != nil && !errors.Is(err, context.Canceled):
			t.Errorf("ack of who left: got %v, want %v or none", err, context.Canceled)
		case i >= lostOnes && i < n-1 && err != nil:
			t.Errorf("ack %d: %v", i, err)
		}
	}
	if got := stats(t, rdb)["evalsha"] - before; got != 3 { // one, 64, and the rest
		t.Errorf("calls for %d acknowledgements: got %d, want 3", n, got)
	}
	length(t, q, queue.Length{Leased: lostOnes})
}

func TestAckOfNobodyWhoHasLeft(t *testing.T) {
	t.Parallel()
	q := open(t, redistest.Start(t).Client(), time.Minute)
	push(t, q, "a")
	a := one(t, q, "w", "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.Ack(ctx, a); !errors.Is(err, context.Canceled) {
		t.Errorf("ack: got %v, want %v", err, context.Canceled)
	}
	length(t, q, queue.Length{Leased: 1})
}
