package redisq_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/queue"
)

// Each test here is named after what a server can suffer from. What a verb could not do it says, and nothing is lost.

// verbs are all that change a line, on an item that is held.
func verbs(t *testing.T, q queue.Queue[string], held queue.Lease[string]) map[string]func() error {
	return map[string]func() error{
		"push":   func() error { return q.Push(t.Context(), queue.Item[string]{ID: "new"}) },
		"renew":  func() error { _, err := q.Renew(t.Context(), held); return err },
		"return": func() error { return q.Return(t.Context(), held, 0) },
		"ack":    func() error { return q.Ack(t.Context(), held) },
		"bury":   func() error { return q.Bury(t.Context(), held, "why") },
	}
}

// TestFullServer takes no more data, and lets what is in line be leased, renewed and acknowledged: that makes room.
func TestFullServer(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t, "--maxmemory-policy", "noeviction").Client()
	q := open(t, rdb, time.Minute)
	push(t, q, "a", "c", "b")
	a, c := one(t, q, "w", "a"), one(t, q, "w", "c")
	full := func(limit string) {
		t.Helper()
		if err := rdb.ConfigSet(t.Context(), "maxmemory", limit).Err(); err != nil {
			t.Fatal(err)
		}
	}
	full("1")
	if err := q.Ack(t.Context(), one(t, q, "w", "b")); err != nil {
		t.Errorf("ack: %v", err)
	}
	for _, verb := range []string{"push", "return", "bury"} {
		if err := verbs(t, q, a)[verb](); err == nil {
			t.Errorf("%s: got no error from a full server", verb)
		}
	}
	if lost, err := q.Renew(t.Context(), a); err != nil || len(lost) > 0 {
		t.Errorf("renew: got lost %v, %v", lost, err)
	}
	if err := q.Return(t.Context(), c, time.Second); err != nil {
		t.Errorf("return for later: %v", err)
	}
	full("0")
	length(t, q, queue.Length{Ready: 1, Leased: 1})
	if err := q.Bury(t.Context(), a, "why"); err != nil {
		t.Errorf("bury: %v", err)
	}
	push(t, q, "a")
	if diff := cmp.Diff([]string{"a"}, leased(t, q, "w", 1)); diff != "" {
		t.Errorf("leased (-want +got):\n%s", diff)
	}
}

// TestReadOnlyServer makes the server another's replica, as a failover does, also while a Lease waits there.
func TestReadOnlyServer(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	q := open(t, rdb, time.Minute)
	push(t, q, "a", "b")
	a, b := one(t, q, "w", "a"), one(t, q, "w", "b")
	ended := make(chan error, 1)
	go func() {
		_, err := q.Lease(t.Context(), "waiter", 1)
		ended <- err
	}()
	blocked(t, rdb)
	// There is nobody at this address, so that the data stays as it is.
	if err := rdb.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("waiting lease: got no error from a read-only server")
	}
	for verb, do := range verbs(t, q, a) {
		if err := do(); err == nil || errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("%s: got %v, want the server's error", verb, err)
		}
	}
	if leases, err := q.Lease(t.Context(), "w", 1); err == nil {
		t.Errorf("lease: got %v and no error", leases)
	}
	if err := rdb.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	length(t, q, queue.Length{Leased: 2})
	for _, held := range []queue.Lease[string]{a, b} {
		if err := q.Ack(t.Context(), held); err != nil {
			t.Errorf("ack: %v", err)
		}
	}
}

// slow is a connection whose every answer takes a while.
type slow struct {
	net.Conn
	by time.Duration
}

func (s slow) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	<-time.After(s.by)
	return n, err
}

// TestSlowServer answers late: no verb fails for it, a lease is not lost meanwhile, and the end is not delayed by more
// than the answers that it takes.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	const by = 100 * time.Millisecond
	server := redistest.Start(t)
	opt := server.Options()
	opt.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return slow{conn, by}, err
	}
	rdb := redis.NewClient(opt)
	t.Cleanup(func() { rdb.Close() })
	q, quick := open(t, rdb, 5*time.Second), open(t, server.Client(), 5*time.Second)
	push(t, q, "a", "b")
	a := one(t, q, "slow", "a")
	if lost, err := q.Renew(t.Context(), a); err != nil || len(lost) > 0 {
		t.Errorf("renew: got lost %v, %v", lost, err)
	}
	if diff := cmp.Diff([]string{"b"}, leased(t, quick, "quick", 2)); diff != "" {
		t.Errorf("leased by another (-want +got):\n%s", diff)
	}
	if err := q.Ack(t.Context(), a); err != nil {
		t.Errorf("ack: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := q.Lease(ctx, "slow", 1)
		ended <- err
	}()
	blocked(t, server.Client())
	start := time.Now()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("lease: got %v, want %v", err, context.Canceled)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("lease ended %v after its context, want some answers later", took)
	}
}
