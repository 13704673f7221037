package redisq_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/internal/redistest"
)

func TestCallsPerTask(t *testing.T) {
	t.Parallel()
	const tasks = 500
	for _, c := range []struct{ limit, want int }{{1, 3 * tasks}, {10, 2*tasks + tasks/10}} {
		rdb := redistest.Start(t).Client()
		q := open(t, rdb, time.Minute)
		for _, id := range numbered(tasks) {
			push(t, q, id)
		}
		for done := 0; done < tasks; {
			for _, l := range lease(t, q, "w", c.limit) {
				if err := q.Ack(t.Context(), l); err != nil {
					t.Fatal(err)
				}
				done++
			}
		}
		s := stats(t, rdb)
		if s["client|id"] > 0 {
			t.Errorf("limit %d: a lease waited although there was work", c.limit)
		}
		// Beyond the tasks' own there is one sweep, and the first use of each of four scripts is refused and sent again.
		const once = 1 + 4
		if got := s["evalsha"] + s["eval"]; got > c.want+once || got < c.want {
			t.Errorf("limit %d: got %d calls for %d tasks, want %d and once %d", c.limit, got, tasks, c.want, once)
		}
	}
}

// TestWaitingLeaseIsQuiet counts what a Lease asks for while there is nothing to do.
func TestWaitingLeaseIsQuiet(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	q := open(t, rdb, 10*time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
	defer cancel()
	if _, err := q.Lease(ctx, "w", 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("lease: got %v, want %v", err, context.DeadlineExceeded)
	}
	s := stats(t, rdb)
	for command, most := range map[string]int{
		"evalsha":        3 + 1, // a look before each blocked read, and one sweep
		"eval":           2,     // the first use of either script
		"xreadgroup":     3 + 3, // in the looks, and blocked
		"client|id":      1,
		"client|unblock": 2,
	} {
		if got := s[command]; got > most || got == 0 {
			t.Errorf("2.5 s of waiting: got %d calls of %s, want 1 to %d", got, command, most)
		}
	}
}

// TestShutdownIsNotDelayed ends a Lease at the start of its blocked read, which would go on for a second.
func TestShutdownIsNotDelayed(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	q := open(t, rdb, time.Minute)
	fastest := time.Hour
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := q.Lease(ctx, "w", 1)
			ended <- err
		}()
		blocked(t, rdb)
		start := time.Now()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatalf("lease: got %v, want %v", err, context.Canceled)
		}
		fastest = min(fastest, time.Since(start))
	}
	if fastest > 250*time.Millisecond {
		t.Errorf("lease ended %v after its context at best, want some milliseconds", fastest)
	}
	if got := rdb.PoolStats(); got.TotalConns != got.IdleConns {
		t.Errorf("connections: got %d of %d idle, want all", got.IdleConns, got.TotalConns)
	}
}

// TestUnblockNeverHitsAnotherLease lets leases end and begin on the same few connections.
func TestUnblockNeverHitsAnotherLease(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	q := open(t, rdb, time.Minute)
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := q.Lease(ctx, "w", 1)
			ended <- err
		}()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatalf("lease: got %v, want %v", err, context.Canceled)
		}
	}
	push(t, q, "a")
	one(t, q, "w", "a")
}

func TestLeaseTellsThatTheServerIsGone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := server.Client()
	q := open(t, rdb, time.Minute)
	ended := make(chan error, 1)
	go func() {
		_, err := q.Lease(t.Context(), "w", 1)
		ended <- err
	}()
	blocked(t, rdb)
	server.Kill()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "lease from queue work") {
		t.Errorf("lease: got %v, want an error that names the queue", err)
	}
	server.Restart()
	push(t, q, "a")
	one(t, q, "w", "a")
}

// BenchmarkPushLeaseAck burns items down with ten workers, pushed in batches and acknowledged one by one.
func BenchmarkPushLeaseAck(b *testing.B) {
	for _, limit := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("limit=%d", limit), func(b *testing.B) {
			q := open(b, redistest.Start(b).Client(), time.Minute)
			all := numbered(b.N)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			b.ResetTimer()
			for batch := range slices.Chunk(all, 1000) {
				push(b, q, batch...)
			}
			var done atomic.Int64
			var workers sync.WaitGroup
			for w := range 10 {
				workers.Go(func() {
					for {
						leases, err := q.Lease(ctx, fmt.Sprintf("w%d", w), limit)
						if err != nil {
							return
						}
						for _, l := range leases {
							if err := q.Ack(b.Context(), l); err != nil {
								b.Error(err)
							}
						}
						if done.Add(int64(len(leases))) == int64(b.N) {
							cancel()
						}
					}
				})
			}
			workers.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "items/s")
		})
	}
}

// BenchmarkIdlePickup is the time from a push to the return of a Lease that waits for it.
func BenchmarkIdlePickup(b *testing.B) {
	rdb := redistest.Start(b).Client()
	q := open(b, rdb, time.Minute)
	var took time.Duration
	for i := range b.N {
		ended := make(chan time.Time, 1)
		go func() {
			for _, l := range lease(b, q, "w", 1) {
				ended <- time.Now()
				if err := q.Ack(b.Context(), l); err != nil {
					b.Error(err)
				}
			}
			close(ended)
		}()
		blocked(b, rdb)
		start := time.Now()
		push(b, q, strconv.Itoa(i))
		took += (<-ended).Sub(start)
		<-ended
	}
	b.ReportMetric(float64(took.Microseconds())/float64(b.N), "µs/pickup")
}

// blocked waits until the server has a blocked client.
func blocked(t testing.TB, rdb *redis.Client) {
	t.Helper()
	poll(t, "a client is blocked", func() bool {
		info, err := rdb.InfoMap(t.Context(), "clients").Result()
		return err == nil && info["Clients"]["blocked_clients"] == "1"
	})
}

// poll waits for what the server gives no signal of.
func poll(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s it is still not so that %s", what)
		}
	}
}

// stats is how often the server ran each command.
func stats(t *testing.T, rdb *redis.Client) map[string]int {
	t.Helper()
	info, err := rdb.InfoMap(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]int{}
	for name, value := range info["Commandstats"] {
		n, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
		if calls[strings.TrimPrefix(name, "cmdstat_")], err = strconv.Atoi(n); err != nil {
			t.Fatalf("commandstats: %s is %q", name, value)
		}
	}
	return calls
}
