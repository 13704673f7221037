package redisq_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/queue"
)

// Each test here is named after a way in which Redis Streams have lost somebody's work.

func TestLongLineIsNotTrimmed(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	q := open(t, rdb, time.Minute)
	const n = 20_000
	push(t, q, numbered(n)...)
	leased(t, q, "w", n/2)
	length(t, q, queue.Length{Ready: n / 2, Leased: n / 2})
	if got := rdb.HLen(t.Context(), ids).Val(); got != n {
		t.Errorf("ids in line: got %d, want %d", got, n)
	}
}

func TestLineLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	q := open(t, rdb, time.Minute)
	push(t, q, numbered(10)...)
	for _, l := range lease(t, q, "w", 10) {
		if err := q.Ack(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	if entries, held := rdb.XLen(t.Context(), stream).Val(), rdb.HLen(t.Context(), ids).Val(); entries != 0 || held != 0 {
		t.Errorf("left behind: got %d entries, %d ids, want none", entries, held)
	}
}

func TestSweepKeepsConsumersThatHoldItems(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	q := open(t, rdb, time.Minute)
	push(t, q, "a", "b")
	one(t, q, "holds", "a")
	b := one(t, q, "gone", "b")
	if err := q.Ack(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := q.Sweep(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"gone", "holds"}, consumers(t, rdb)); diff != "" {
		t.Errorf("consumers seen within the hour (-want +got):\n%s", diff)
	}
	if err := q.Sweep(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"holds"}, consumers(t, rdb)); diff != "" {
		t.Errorf("consumers (-want +got):\n%s", diff)
	}
	length(t, q, queue.Length{Leased: 1})
}

func TestSweepsOnceAnHour(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	q := open(t, rdb, time.Minute)
	push(t, q, "a", "b")
	one(t, q, "w", "a")
	one(t, q, "w", "b")
	if got := stats(t, rdb)["xinfo|consumers"]; got != 1 {
		t.Errorf("looks at the consumers in two leases: got %d, want 1", got)
	}
}

func TestLineGoesOnAfterFlush(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	q := open(t, rdb, time.Minute)
	push(t, q, "a")
	held := one(t, q, "w", "a")
	if err := rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	length(t, q, queue.Length{})
	if lost, err := q.Renew(t.Context(), held); err != nil || len(lost) != 1 {
		t.Errorf("renew: got lost %v, %v, want it lost", lost, err)
	}
	if err := q.Ack(t.Context(), held); !errors.Is(err, queue.ErrLeaseLost) {
		t.Errorf("ack: got %v, want %v", err, queue.ErrLeaseLost)
	}
	push(t, q, "a", "b")
	if diff := cmp.Diff([]string{"a", "b"}, leased(t, q, "w", 3)); diff != "" {
		t.Errorf("leased (-want +got):\n%s", diff)
	}
}

func TestLossUnderAWaitingLease(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string][]any{
		"everything": {"FLUSHALL"},
		"the stream": {"DEL", stream},
		"the group":  {"XGROUP", "DESTROY", stream, group},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb := redistest.Start(t).Client()
			q := open(t, rdb, time.Minute)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			done := make(chan []queue.Lease[string], 1)
			go func() {
				leases, err := q.Lease(ctx, "w", 1)
				if err != nil {
					t.Errorf("lease: %v", err)
				}
				done <- leases
			}()
			blocked(t, rdb)
			if err := rdb.Do(t.Context(), lose...).Err(); err != nil {
				t.Fatal(err)
			}
			push(t, q, "a")
			if leases := <-done; len(leases) != 1 || leases[0].Item.ID != "a" {
				t.Errorf("leased: got %v, want a", leases)
			}
		})
	}
}

// TestLostGroupReplaysNothing shows that what was acknowledged stays so, and that what was leased is in line again.
func TestLostGroupReplaysNothing(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	q := open(t, rdb, time.Minute)
	push(t, q, "done", "held", "new")
	if err := q.Ack(t.Context(), one(t, q, "w", "done")); err != nil {
		t.Fatal(err)
	}
	held := one(t, q, "w", "held")
	if err := rdb.XGroupDestroy(t.Context(), stream, group).Err(); err != nil {
		t.Fatal(err)
	}
	if err := q.Return(t.Context(), held, 0); !errors.Is(err, queue.ErrLeaseLost) {
		t.Errorf("return: got %v, want %v", err, queue.ErrLeaseLost)
	}
	length(t, q, queue.Length{Ready: 2})
	if diff := cmp.Diff([]string{"held", "new"}, leased(t, q, "w2", 3)); diff != "" {
		t.Errorf("leased (-want +got):\n%s", diff)
	}
}

// TestDeletedEntries deletes entries behind the queue's back: one in the pending list, one in nobody's hands.
func TestDeletedEntries(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	q := open(t, rdb, 50*time.Millisecond)
	push(t, q, "a", "b", "c")
	a := one(t, q, "w", "a")
	for _, id := range []string{"a", "b"} {
		sid := rdb.HGet(t.Context(), ids, id).Val()
		if err := rdb.XDel(t.Context(), stream, sid).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if lost, err := q.Renew(t.Context(), a); err != nil || len(lost) != 1 {
		t.Errorf("renew: got lost %v, %v, want it lost", lost, err)
	}
	one(t, q, "w2", "c")
	one(t, q, "w2", "c") // its lease runs out, and the deleted ones do not stand in its way
	push(t, q, "a", "b")
	if diff := cmp.Diff([]string{"a", "b"}, leased(t, q, "w2", 2)); diff != "" {
		t.Errorf("pushed again, leased (-want +got):\n%s", diff)
	}
	if got := rdb.XPending(t.Context(), stream, group).Val().Count; got != 3 {
		t.Errorf("pending: got %d, want 3", got)
	}
}

// TestReturnOfADeletedEntry must not put an empty one in line.
func TestReturnOfADeletedEntry(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, time.Second} {
		rdb := redistest.Start(t).Client()
		q := open(t, rdb, time.Minute)
		push(t, q, "a")
		a := one(t, q, "w", "a")
		if err := rdb.XTrimMaxLen(t.Context(), stream, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if err := q.Return(t.Context(), a, after); !errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("return after %v: got %v, want %v", after, err, queue.ErrLeaseLost)
		}
		if err := q.Bury(t.Context(), a, "why"); !errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("bury: got %v, want %v", err, queue.ErrLeaseLost)
		}
		length(t, q, queue.Length{})
	}
}

// TestExpiredBehindManyHeld shows that one expired lease is found behind thousands that are kept: XAUTOCLAIM looks at
// ten entries for each that it may claim.
func TestExpiredBehindManyHeld(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	q := open(t, rdb, time.Minute)
	push(t, q, numbered(2000)...)
	push(t, q, "last")
	leased(t, q, "alive", 2000)
	expire(t, rdb, one(t, q, "dead", "last"))
	if again := one(t, q, "heir", "last"); again.Tries != 2 {
		t.Errorf("tries: got %d, want 2", again.Tries)
	}
}

func TestServerRestartKeepsLineAndLeases(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	rdb := server.Client()
	q := open(t, rdb, time.Minute)
	push(t, q, "held", "left", "new")
	held := one(t, q, "w", "held")
	expire(t, rdb, one(t, q, "dead", "left"))
	server.Restart()
	if again := one(t, q, "heir", "left"); again.Tries != 2 {
		t.Errorf("tries: got %d, want 2", again.Tries)
	}
	one(t, q, "heir", "new")
	length(t, q, queue.Length{Leased: 3})
	if err := q.Ack(t.Context(), held); err != nil {
		t.Errorf("ack: %v", err)
	}
}

// TestAnswerAfterTheEndIsHandedBack lets a context end while the server has a look for free items in its hands. The
// client is of the kind that stops reading at its context's deadline.
func TestAnswerAfterTheEndIsHandedBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	opt := server.Options()
	opt.ContextTimeoutEnabled = true
	rdb := redis.NewClient(opt)
	t.Cleanup(func() { rdb.Close() })
	q := open(t, rdb, time.Minute)
	push(t, q, "first", "a", "b", "c")
	if err := q.Ack(t.Context(), one(t, q, "w", "first")); err != nil { // Now all scripts are known and a connection is open.
		t.Fatal(err)
	}
	other := server.Client()
	rdb.Ping(t.Context())
	if err := other.Do(t.Context(), "CLIENT", "PAUSE", "60000", "WRITE").Err(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := q.Lease(ctx, "w", 3)
		ended <- err
	}()
	poll(t, "the server has the script", func() bool {
		return strings.Contains(other.ClientList(t.Context()).Val(), "cmd=evalsha")
	})
	<-ctx.Done()
	if err := other.ClientUnpause(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("lease: got %v, want %v", err, context.DeadlineExceeded)
	}
	length(t, q, queue.Length{Ready: 3})
	var tries []int
	var order []string
	for _, l := range lease(t, q, "w", 3) {
		tries, order = append(tries, l.Tries), append(order, l.Item.ID)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{2, 2, 2}, tries); diff != "" { // Else nothing was handed out, and this test shows nothing.
		t.Errorf("tries (-want +got):\n%s", diff)
	}
}

// TestClusterClient goes through the client of a cluster, to a server that is all of its cluster.
func TestClusterClient(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := redis.NewClusterClient(&redis.ClusterOptions{
		ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
			return []redis.ClusterSlot{{Start: 0, End: 16383, Nodes: []redis.ClusterNode{{Addr: server.Addr}}}}, nil
		},
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", server.Addr)
		},
		MaintNotificationsConfig: server.Options().MaintNotificationsConfig,
	})
	t.Cleanup(func() { rdb.Close() })
	q := open(t, rdb, time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := q.Lease(ctx, "w", 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("lease: got %v, want %v", err, context.DeadlineExceeded)
	}
	push(t, q, "a")
	if err := q.Ack(t.Context(), one(t, q, "w", "a")); err != nil {
		t.Error(err)
	}
	keys := server.Client().Keys(t.Context(), "*").Val()
	for _, key := range keys {
		if !strings.HasPrefix(key, "{millrace}:") {
			t.Errorf("key %s is outside of the hash tag", key)
		}
	}
}

// expire lets the server believe that a lease of a minute was not renewed for as long.
func expire(t *testing.T, rdb *redis.Client, l queue.Lease[string]) {
	t.Helper()
	entry, _, _ := strings.Cut(l.Token, "/")
	if err := rdb.Do(t.Context(), "XCLAIM", stream, group, l.Worker, 0, entry, "IDLE", 60_000, "JUSTID").Err(); err != nil {
		t.Fatal(err)
	}
}

func consumers(t *testing.T, rdb *redis.Client) (names []string) {
	t.Helper()
	infos, err := rdb.XInfoConsumers(t.Context(), stream, group).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range infos {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}
