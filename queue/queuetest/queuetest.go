// Package queuetest holds the laws that any queue.Queue keeps. The tests of redisq and memq call it; it calls only the
// contract. It looks into no implementation.
package queuetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/queue"
)

// short is a lease time that a test waits for, long one that does not run out in a test.
const (
	short = 400 * time.Millisecond
	long  = time.Minute
	limit = 30 * time.Second // no step takes longer, whatever the machine does
)

// Run tests the queues that open makes against the laws. open returns an empty queue with that lease time; what it
// opened it closes with t's cleanup.
func Run(t *testing.T, open func(t *testing.T, leaseTime time.Duration) queue.Queue[string]) {
	laws := []struct {
		name      string
		leaseTime time.Duration
		law       func(*testing.T, line)
	}{
		{"items are leased in the order of their push", long, leasesInOrder},
		{"pushing twice is pushing once", long, pushesOnce},
		{"an acknowledged item can be pushed again", long, pushesAgainAfterAck},
		{"an item without an id is refused", long, refusesItemWithoutID},
		{"lease returns at most limit items", long, leasesAtMostLimit},
		{"lease refuses a limit below one", long, refusesLimitBelowOne},
		{"lease waits and wakes at once", long, wakesAtPush},
		{"lease ends with its context", long, leaseEndsWithContext},
		{"a lease that ends with its context leaves nothing leased", long, endedLeaseLosesNothing},
		{"an expired lease goes to somebody else", short, expiredLeaseMovesOn},
		{"expired items come before new ones", short, expiredComeFirst},
		{"renewing keeps a lease", short, renewKeeps},
		{"renewing nothing is no error", long, renewsNothing},
		{"an ended lease stays ended", long, endedLeaseIsLost},
		{"a returned item is free at once", long, returnFreesAtOnce},
		{"a returned item comes before new ones", long, returnedComeFirst},
		{"a returned item wakes who waits", long, returnWakes},
		{"a returned item is free after its time", short, returnFreesLater},
		{"the old lease of a returned item is lost", short, returnedLeaseIsLost},
		{"a buried item is listed, and tried no more", long, buriedIsListed},
		{"a buried item can be pushed again", long, buriedCanBePushed},
		{"an item is listed once, as it was buried last", long, buriedOnce},
		{"the dead are listed in pages, the last first", long, deadInPages},
		{"a cursor of the dead stays good", long, deadCursorStays},
		{"a cursor of nobody is refused", long, deadStrangeCursor},
		{"a forgotten item is listed no more", long, forgets},
		{"an item that is buried again is not forgotten with its first burial", long, forgetsOneBurial},
		{"the dead are bounded", long, deadAreBounded},
		{"only the holder buries", short, onlyHolderBuries},
		{"nobody else holds a leased item", long, holdersAreAlone},
		{"ten workers do each item once", long, workersDoEachOnce},
		{"len counts what is in line", long, lenCounts},
	}
	for _, l := range laws {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.law(t, line{t, open(t, l.leaseTime)})
		})
	}
}

// line is a queue under test whose steps must succeed.
type line struct {
	t *testing.T
	q queue.Queue[string]
}

func (l line) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(l.t.Context(), limit)
}

func (l line) push(ids ...string) {
	l.t.Helper()
	items := make([]queue.Item[string], 0, len(ids))
	for _, id := range ids {
		items = append(items, queue.Item[string]{ID: id, Value: "value of " + id})
	}
	if err := l.q.Push(l.t.Context(), items...); err != nil {
		l.t.Fatalf("push %v: %v", ids, err)
	}
}

func (l line) lease(worker string, limit int) []queue.Lease[string] {
	l.t.Helper()
	ctx, cancel := l.context()
	defer cancel()
	leases, err := l.q.Lease(ctx, worker, limit)
	if err != nil {
		l.t.Fatalf("lease %d for %s: %v", limit, worker, err)
	}
	return leases
}

// one leases the item that is expected next, and nothing but it.
func (l line) one(worker, id string) queue.Lease[string] {
	l.t.Helper()
	leases := l.lease(worker, 1)
	if diff := cmp.Diff([]string{id}, ids(leases)); diff != "" {
		l.t.Fatalf("leased (-want +got):\n%s", diff)
	}
	got := leases[0]
	if want := "value of " + id; got.Item.Value != want {
		l.t.Errorf("value of %s: got %q, want %q", id, got.Item.Value, want)
	}
	if got.Worker != worker {
		l.t.Errorf("holder of %s: got %q, want %q", id, got.Worker, worker)
	}
	return got
}

func (l line) ack(lease queue.Lease[string]) {
	l.t.Helper()
	if err := l.q.Ack(l.t.Context(), lease); err != nil {
		l.t.Fatalf("ack %s: %v", lease.Item.ID, err)
	}
}

func (l line) giveBack(lease queue.Lease[string], after time.Duration) {
	l.t.Helper()
	if err := l.q.Return(l.t.Context(), lease, after); err != nil {
		l.t.Fatalf("return %s after %v: %v", lease.Item.ID, after, err)
	}
}

func (l line) renew(leases ...queue.Lease[string]) (lost []queue.Lease[string]) {
	l.t.Helper()
	lost, err := l.q.Renew(l.t.Context(), leases...)
	if err != nil {
		l.t.Fatalf("renew: %v", err)
	}
	return lost
}

// nothing fails the test when an item becomes free within d.
func (l line) nothing(worker string, d time.Duration) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), d)
	defer cancel()
	leases, err := l.q.Lease(ctx, worker, 10)
	if len(leases) > 0 || !errors.Is(err, context.DeadlineExceeded) {
		l.t.Fatalf("lease within %v: got %v, %v, want nothing and %v", d, ids(leases), err, context.DeadlineExceeded)
	}
}

// isLost fails the test unless every use of the lease is answered with its loss.
func (l line) isLost(lease queue.Lease[string]) {
	l.t.Helper()
	if err := l.q.Ack(l.t.Context(), lease); !errors.Is(err, queue.ErrLeaseLost) {
		l.t.Errorf("ack of a lost lease: got %v, want %v", err, queue.ErrLeaseLost)
	}
	if err := l.q.Bury(l.t.Context(), lease, "late"); !errors.Is(err, queue.ErrLeaseLost) {
		l.t.Errorf("burial of a lost lease: got %v, want %v", err, queue.ErrLeaseLost)
	}
	for _, after := range []time.Duration{0, short / 2} {
		if err := l.q.Return(l.t.Context(), lease, after); !errors.Is(err, queue.ErrLeaseLost) {
			l.t.Errorf("return after %v of a lost lease: got %v, want %v", after, err, queue.ErrLeaseLost)
		}
	}
	if diff := cmp.Diff([]queue.Lease[string]{lease}, l.renew(lease)); diff != "" {
		l.t.Errorf("lost of a renewal (-want +got):\n%s", diff)
	}
}

func (l line) len(want queue.Length) {
	l.t.Helper()
	got, err := l.q.Len(l.t.Context())
	if err != nil || got != want {
		l.t.Errorf("length: got %+v, %v, want %+v", got, err, want)
	}
}

func ids(leases []queue.Lease[string]) []string {
	var got []string
	for _, l := range leases {
		got = append(got, l.Item.ID)
	}
	return got
}

func numbered(n int) []string {
	got := make([]string, n)
	for i := range got {
		got[i] = fmt.Sprintf("item-%04d", i)
	}
	return got
}
