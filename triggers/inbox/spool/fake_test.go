package spool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
	"github.com/millrace-ci/millrace/triggers/inbox/meminbox"
	"github.com/millrace-ci/millrace/triggers/inbox/spool"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var quiet = slog.New(slog.DiscardHandler)

var errAway = errors.New("connection refused")

// delivery is the i-th, a second younger than the one before it.
func delivery(i int) triggers.Delivery {
	key := fmt.Sprintf("key-%d", i)
	return triggers.Delivery{
		ID: triggers.DeliveryID("hub", key), Forge: "hub", Key: key, Kind: "push",
		Header: http.Header{"X-Github-Event": {"push"}},
		Body:   fmt.Appendf(nil, `{"number":%d}`, i),
		At:     noon.Add(time.Duration(i) * time.Second),
	}
}

// ids are those of deliveries from to before to.
func ids(from, to int) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, delivery(i).ID)
	}
	return all
}

// moody is an inbox in memory that does not always keep what it is given.
type moody struct {
	inbox.Inbox
	mu    sync.Mutex
	mood  func(ctx context.Context, d triggers.Delivery) error // nil: it keeps everything
	asked int
}

func newMoody(mood func(context.Context, triggers.Delivery) error) *moody {
	return &moody{Inbox: meminbox.New(), mood: mood}
}

func (m *moody) Keep(ctx context.Context, d triggers.Delivery) (inbox.Receipt, error) {
	m.mu.Lock()
	mood := m.mood
	m.asked++
	m.mu.Unlock()
	if mood != nil {
		if err := mood(ctx, d); err != nil {
			return inbox.Receipt{}, err
		}
	}
	return m.Inbox.Keep(ctx, d)
}

func (m *moody) set(mood func(context.Context, triggers.Delivery) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mood = mood
}

// away refuses at once, as an inbox does whose Redis is not there.
func away(context.Context, triggers.Delivery) error { return errAway }

// hanging never answers, as an inbox does whose Redis is stopped.
func hanging(ctx context.Context, _ triggers.Delivery) error {
	<-ctx.Done()
	return ctx.Err()
}

// fixture is a spool, what is behind it and what it says.
type fixture struct {
	*spool.Spool
	t       testing.TB
	dir     string
	behind  inbox.Inbox
	log     *logged
	numbers *prometheus.Registry
	drained chan []string
}

// open opens a spool of 1 MiB in dir.
func open(t testing.TB, dir string, behind inbox.Inbox) *fixture {
	t.Helper()
	return openWith(t, spool.Config{Dir: dir, MaxBytes: 1 << 20}, behind)
}

func openWith(t testing.TB, cfg spool.Config, behind inbox.Inbox) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: cfg.Dir, behind: behind, log: &logged{}, numbers: prometheus.NewRegistry(), drained: make(chan []string, 10_000)}
	cfg.Metrics, cfg.Log = metrics.NewSpool(f.numbers), slog.New(slog.NewTextHandler(f.log, nil))
	var err error
	if f.Spool, err = spool.New(cfg, behind); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// newDir is the path of a folder that is not there yet.
func newDir(t testing.TB) string { return filepath.Join(t.TempDir(), "spool") }

// run drains until the returned function is called, which waits for its end.
func (f *fixture) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- f.Run(ctx, func(_ context.Context, ids ...string) error {
			f.drained <- slices.Clone(ids)
			return nil
		})
	}()
	return func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Errorf("run: %v", err)
		}
	}
}

// flush drains all that there is.
func (f *fixture) flush() {
	f.t.Helper()
	f.run()() // its end is asked for at once: it goes on while it can
	if got := f.number("millrace_spool_deliveries"); got != 0 {
		f.t.Errorf("%v deliveries are left in the spool, want none", got)
	}
}

// await returns the ids of n deliveries, as they are put in line.
func (f *fixture) await(n int) []string {
	f.t.Helper()
	var got []string
	for len(got) < n {
		select {
		case more := <-f.drained:
			got = append(got, more...)
		case <-time.After(30 * time.Second):
			f.t.Fatalf("%d deliveries were put in line, want %d", len(got), n)
		}
	}
	return got
}

// keep keeps the deliveries from to before to, each of them new.
func (f *fixture) keep(from, to int) {
	f.t.Helper()
	for i := from; i < to; i++ {
		r, err := f.Keep(f.t.Context(), delivery(i))
		if want := (inbox.Receipt{ID: delivery(i).ID}); err != nil || r != want {
			f.t.Fatalf("keep %d: got %+v, %v, want %+v", i, r, err, want)
		}
	}
}

// behindHas checks what is unplanned in the inbox behind.
func (f *fixture) behindHas(want []string) {
	f.t.Helper()
	got, err := f.behind.Unplanned(f.t.Context(), 100_000)
	if err != nil || !slices.Equal(got, want) {
		f.t.Errorf("the inbox behind has %d deliveries %.200v, %v, want %d %.200v", len(got), got, err, len(want), want)
	}
}

// files are the names in the folder, without the lock.
func (f *fixture) files() []string {
	f.t.Helper()
	return files(f.t, f.dir)
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "lock" {
			names = append(names, e.Name())
		}
	}
	return names
}

// number is the value of a metric; of a counter that of the outcome.
func (f *fixture) number(name string, outcome ...string) float64 {
	f.t.Helper()
	families, err := f.numbers.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && (len(outcome) == 0 || m.GetLabel()[0].GetValue() == outcome[0]) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	f.t.Fatalf("no metric %s %v", name, outcome)
	return 0
}

// logged is a log's text.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
