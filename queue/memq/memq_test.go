package memq_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/queue/memq"
	"github.com/millrace-ci/millrace/queue/queuetest"
)

func TestLaws(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, func(_ *testing.T, leaseTime time.Duration) queue.Queue[string] {
		return memq.New[string](memq.Config{LeaseTime: leaseTime})
	})
}

// TestTimeInABubble shows that a waiting Lease is durably blocked, and that times are exact.
func TestTimeInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := memq.New[string](memq.Config{})
		start := time.Now()
		push(t, q, "a")
		first := lease(t, q, "dead")
		second := lease(t, q, "heir")
		if got := time.Since(start); got != 10*time.Second || second.Tries != 2 {
			t.Errorf("taken over: got after %v with tries %d, want 10s, 2", got, second.Tries)
		}
		if err := q.Ack(t.Context(), first); !errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("ack of a lost lease: got %v, want %v", err, queue.ErrLeaseLost)
		}
		if err := q.Return(t.Context(), second, 3*time.Second); err != nil {
			t.Fatal(err)
		}
		lease(t, q, "heir")
		if got := time.Since(start); got != 13*time.Second {
			t.Errorf("returned item: got it after %v, want 13s", got)
		}
	})
}

func TestLateHolderKeepsWhatNobodyTook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := memq.New[string](memq.Config{LeaseTime: time.Second})
		push(t, q, "a")
		held := lease(t, q, "w")
		<-time.After(time.Hour)
		if n, _ := q.Len(t.Context()); n != (queue.Length{Ready: 1}) {
			t.Errorf("length: got %+v, want one ready", n)
		}
		if lost, _ := q.Renew(t.Context(), held); len(lost) > 0 {
			t.Errorf("renew: got lost %v, want none", lost)
		}
		if err := q.Ack(t.Context(), held); err != nil {
			t.Errorf("ack: %v", err)
		}
	})
}

func TestWaitingLeaseEndsInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := memq.New[string](memq.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := q.Lease(ctx, "w", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("lease: got %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

func TestDeadAreForgottenByAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := memq.New[string](memq.Config{})
		bury := func(id string) {
			t.Helper()
			push(t, q, id)
			if err := q.Bury(t.Context(), lease(t, q, "w"), "why"); err != nil {
				t.Fatal(err)
			}
		}
		bury("old")
		<-time.After(queue.KeepDead + time.Second)
		if dead, _, err := q.Dead(t.Context(), "", 10); err != nil || len(dead) != 0 {
			t.Errorf("the dead: got %+v, %v, want none: it is too old", dead, err)
		}
		bury("new")
		if err := q.Forget(t.Context(), "old", "1"); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("forget the old one: got %v, want %v", err, queue.ErrNotFound)
		}
	})
}

func push(t *testing.T, q queue.Queue[string], id string) {
	t.Helper()
	if err := q.Push(t.Context(), queue.Item[string]{ID: id}); err != nil {
		t.Fatal(err)
	}
}

func lease(t *testing.T, q queue.Queue[string], worker string) queue.Lease[string] {
	t.Helper()
	leases, err := q.Lease(t.Context(), worker, 1)
	if err != nil || len(leases) != 1 {
		t.Fatalf("lease: got %v, %v, want one", leases, err)
	}
	return leases[0]
}
