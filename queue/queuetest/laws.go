package queuetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/queue"
)

func leasesInOrder(t *testing.T, l line) {
	before := time.Now().Add(-time.Minute)
	l.push("a", "b")
	l.push("c")
	leases := l.lease("w", 10)
	if diff := cmp.Diff([]string{"a", "b", "c"}, ids(leases)); diff != "" {
		t.Fatalf("leased (-want +got):\n%s", diff)
	}
	for _, lease := range leases {
		if lease.Tries != 1 {
			t.Errorf("tries of %s: got %d, want 1", lease.Item.ID, lease.Tries)
		}
		if lease.Pushed.Before(before) || lease.Pushed.After(time.Now().Add(time.Minute)) {
			t.Errorf("push time of %s: got %v, want about now", lease.Item.ID, lease.Pushed)
		}
	}
}

func pushesOnce(t *testing.T, l line) {
	l.push("a", "a")
	l.push("a")
	held := l.one("w", "a")
	l.push("a", "b")
	l.ack(l.one("w", "b"))
	l.len(queue.Length{Leased: 1})
	l.giveBack(held, 0)
	l.push("a")
	l.ack(l.one("w", "a"))
	l.len(queue.Length{})
}

func pushesAgainAfterAck(t *testing.T, l line) {
	l.push("a")
	l.ack(l.one("w", "a"))
	l.push("a")
	if again := l.one("w", "a"); again.Tries != 1 {
		t.Errorf("tries of an item that is new in line: got %d, want 1", again.Tries)
	}
}

func refusesItemWithoutID(t *testing.T, l line) {
	err := l.q.Push(t.Context(), queue.Item[string]{ID: "a"}, queue.Item[string]{Value: "nameless"})
	if err == nil {
		t.Error("push of an item without an id: got no error")
	}
	l.len(queue.Length{})
}

func leasesAtMostLimit(t *testing.T, l line) {
	l.push("a", "b", "c", "d", "e")
	for _, want := range [][]string{{"a", "b"}, {"c", "d"}, {"e"}} {
		if diff := cmp.Diff(want, ids(l.lease("w", 2))); diff != "" {
			t.Errorf("leased (-want +got):\n%s", diff)
		}
	}
}

func refusesLimitBelowOne(t *testing.T, l line) {
	l.push("a")
	if leases, err := l.q.Lease(t.Context(), "w", 0); err == nil {
		t.Errorf("lease with limit 0: got %v and no error", ids(leases))
	}
}

func expiredLeaseMovesOn(t *testing.T, l line) {
	l.push("a")
	first := l.one("dead", "a")
	start := time.Now()
	second := l.one("heir", "a")
	if waited := time.Since(start); waited > short+2*time.Second {
		t.Errorf("taken over after %v, want about %v", waited, short)
	}
	if second.Tries != 2 || !second.Pushed.Equal(first.Pushed) {
		t.Errorf("second lease: got tries %d, pushed %v, want 2, %v", second.Tries, second.Pushed, first.Pushed)
	}
	if second.Token == first.Token {
		t.Errorf("second lease: got the first one's token %q", second.Token)
	}
	l.isLost(first)
	l.ack(second)
	l.len(queue.Length{})
}

func expiredComeFirst(t *testing.T, l line) {
	l.push("old")
	first := l.one("dead", "old")
	// Only the clock tells that a lease ran out: a Lease that waits for it would take the item.
	<-time.After(short + short/10)
	l.len(queue.Length{Ready: 1})
	l.push("new")
	if diff := cmp.Diff([]string{"old", "new"}, ids(l.lease("heir", 2))); diff != "" {
		t.Errorf("leased (-want +got):\n%s", diff)
	}
	l.isLost(first)
}

func renewKeeps(t *testing.T, l line) {
	l.push("a", "b")
	held := l.lease("w", 2)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(short / 10):
				if lost, err := l.q.Renew(t.Context(), held...); err != nil || len(lost) > 0 {
					t.Errorf("renew: got lost %v, error %v", ids(lost), err)
					return
				}
			}
		}
	}()
	l.nothing("thief", short*3/2)
	close(stop)
	<-done
	l.ack(held[0])
	if diff := cmp.Diff([]string{"a"}, ids(l.renew(held...))); diff != "" {
		t.Errorf("lost of a renewal (-want +got):\n%s", diff)
	}
	l.ack(held[1])
}

func renewsNothing(t *testing.T, l line) {
	if lost := l.renew(); len(lost) > 0 {
		t.Errorf("lost: got %v, want none", ids(lost))
	}
}

func endedLeaseIsLost(t *testing.T, l line) {
	l.push("a")
	first := l.one("w", "a")
	l.ack(first)
	l.isLost(first)
	l.push("a")
	second := l.one("w", "a")
	l.isLost(first)
	l.ack(second)
}

func returnFreesAtOnce(t *testing.T, l line) {
	l.push("a")
	first := l.one("w1", "a")
	l.giveBack(first, 0)
	l.len(queue.Length{Ready: 1})
	second := l.one("w2", "a")
	if second.Tries != 2 || !second.Pushed.Equal(first.Pushed) {
		t.Errorf("second lease: got tries %d, pushed %v, want 2, %v", second.Tries, second.Pushed, first.Pushed)
	}
	l.giveBack(second, 0)
	if third := l.one("w1", "a"); third.Tries != 3 {
		t.Errorf("tries of the third lease: got %d, want 3", third.Tries)
	}
}

func returnedComeFirst(t *testing.T, l line) {
	l.push("a", "b")
	l.giveBack(l.one("w1", "a"), 0)
	if diff := cmp.Diff([]string{"a", "b"}, ids(l.lease("w2", 2))); diff != "" {
		t.Errorf("leased (-want +got):\n%s", diff)
	}
}

func returnFreesLater(t *testing.T, l line) {
	l.push("a")
	first := l.one("w1", "a")
	start := time.Now()
	l.giveBack(first, short*2/3)
	l.len(queue.Length{Ready: 1})
	second := l.one("w2", "a")
	if waited := time.Since(start); waited < short*2/3-10*time.Millisecond || waited > short+2*time.Second {
		t.Errorf("returned for %v: free after %v", short*2/3, waited)
	}
	if second.Tries != 2 {
		t.Errorf("tries: got %d, want 2", second.Tries)
	}
	l.giveBack(second, 100*short)
	l.one("w1", "a")
}

func returnedLeaseIsLost(t *testing.T, l line) {
	for _, after := range []time.Duration{0, short / 2} {
		l.push("a")
		first := l.one("w", "a")
		l.giveBack(first, after)
		l.isLost(first)
		second := l.one("w", "a") // the same worker again: its first lease is no better for it
		l.isLost(first)
		l.ack(second)
	}
}

func lenCounts(t *testing.T, l line) {
	l.len(queue.Length{})
	l.push("a", "b", "c")
	l.len(queue.Length{Ready: 3})
	held := l.lease("w", 2)
	l.len(queue.Length{Ready: 1, Leased: 2})
	l.ack(held[0])
	l.giveBack(held[1], time.Second)
	l.len(queue.Length{Ready: 2})
	if err := l.q.Ack(t.Context(), held[1]); !errors.Is(err, queue.ErrLeaseLost) {
		t.Errorf("ack after return: got %v, want %v", err, queue.ErrLeaseLost)
	}
}
