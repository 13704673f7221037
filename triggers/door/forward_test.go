package door_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// line is a plan queue. Each push takes a second, and fails while err is set.
type line struct {
	mu     sync.Mutex
	pushes [][]string
	err    error
}

func (l *line) plan(ctx context.Context, ids ...string) error {
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.pushes = append(l.pushes, slices.Clone(ids))
	}
	return l.err
}

func (l *line) ids() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Concat(l.pushes...)
}

// running is a door whose Run runs.
func running(t *testing.T, l *line, log *strings.Builder) (h http.Handler, stop func()) {
	t.Helper()
	cfg := config(newCounting())
	cfg.Plan = l.plan
	cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	d := open(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return mux(d), func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

// accept has n pushes accepted and returns their ids.
func accept(t *testing.T, h http.Handler, n int) []string {
	t.Helper()
	var ids []string
	for range n {
		a, _ := knock(t, h, push([]byte("{}")))
		if a.Status != "accepted" {
			t.Fatalf("got %+v, want it accepted", a)
		}
		ids = append(ids, a.Delivery)
	}
	return ids
}

func TestForwardsManyInOneRoundTrip(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l line
		var log strings.Builder
		h, stop := running(t, &l, &log)
		want := accept(t, h, 1)
		synctest.Wait() // the first is under way, the others gather behind it
		want = append(want, accept(t, h, 200)...)
		time.Sleep(time.Minute) // of the bubble's clock
		if got := l.ids(); !slices.Equal(got, want) {
			t.Errorf("planned %d, want the %d accepted in order", len(got), len(want))
		}
		if got := len(l.pushes); got != 3 {
			t.Errorf("it took %d round trips, want 3", got)
		}
		stop()
		if log.Len() != 0 {
			t.Errorf("log: %s", log.String())
		}
	})
}

func TestForwardsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l line
		h, stop := running(t, &l, new(strings.Builder))
		r := push([]byte("{}"))
		a, _ := knock(t, h, r)
		again, ping := push([]byte("{}")), push([]byte("{}"))
		again.Header.Set("X-GitHub-Delivery", r.Header.Get("X-GitHub-Delivery"))
		ping.Header.Set("X-GitHub-Event", "ping")
		knock(t, h, again)
		knock(t, h, ping)
		stop()
		if got, want := l.ids(), []string{a.Delivery}; !slices.Equal(got, want) {
			t.Errorf("planned %v, want %v", got, want)
		}
	})
}

func TestStopForwardsWhatIsWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l line
		h, stop := running(t, &l, new(strings.Builder))
		want := accept(t, h, 1)
		synctest.Wait()
		want = append(want, accept(t, h, 150)...)
		stop()
		if got := l.ids(); !slices.Equal(got, want) {
			t.Errorf("planned %d of %d", len(got), len(want))
		}
	})
}

func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l line
		h, stop := running(t, &l, new(strings.Builder))
		accept(t, h, 1)
		synctest.Wait()
		accept(t, h, 1000)
		begin := time.Now()
		stop()
		if took := time.Since(begin); took > 7*time.Second {
			t.Errorf("it took %v to stop", took)
		}
		if got := len(l.ids()); got < 129 || got > 1000 {
			t.Errorf("planned %d, want what fits in 5 s", got)
		}
	})
}

func TestAnswersWhilePlanQueueIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := line{err: errors.New("connection refused")}
		var log strings.Builder
		h, stop := running(t, &l, &log)
		begin := time.Now()
		accept(t, h, 3000) // more than can wait
		if took := time.Since(begin); took != 0 {
			t.Errorf("answers waited %v for the plan queue", took)
		}
		time.Sleep(time.Minute)
		stop()
		if !strings.Contains(log.String(), "connection refused") || !strings.Contains(log.String(), "left to the reaper") {
			t.Errorf("log does not tell it:\n%.1000s", log.String())
		}
	})
}
