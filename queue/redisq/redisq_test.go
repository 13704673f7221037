package redisq_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/queue/queuetest"
	"github.com/millrace-ci/millrace/queue/redisq"
)

const (
	stream = "{millrace}:queue:work"
	ids    = "{millrace}:queue:work:ids"
	group  = "workers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLaws(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, func(t *testing.T, leaseTime time.Duration) queue.Queue[string] {
		return open(t, redistest.Start(t).Client(), leaseTime)
	})
}

// TestDocsNameWhatIsInRedis keeps docs/redis.md complete: each script, and each field and key that a script was seen to write.
func TestDocsNameWhatIsInRedis(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("*.lua")
	if err != nil || len(names) == 0 {
		t.Fatalf("scripts: got %v, %v", names, err)
	}
	rdb := redistest.Start(t).Client()
	q := open(t, rdb, time.Minute)
	push(t, q, "a")
	if err := q.Return(t.Context(), one(t, q, "w", "a"), 0); err != nil {
		t.Fatal(err)
	}
	for field := range rdb.XRange(t.Context(), stream, "-", "+").Val()[0].Values {
		names = append(names, field)
	}
	if err := q.Bury(t.Context(), one(t, q, "w", "a"), "why"); err != nil {
		t.Fatal(err)
	}
	for field := range rdb.XRange(t.Context(), stream+":dead", "-", "+").Val()[0].Values {
		names = append(names, field)
	}
	push(t, q, "a")
	for _, key := range rdb.Keys(t.Context(), "*").Val() {
		names = append(names, strings.Replace(key, ":work", ":<name>", 1))
	}
	for _, name := range names {
		if !strings.Contains(string(docs), "`"+name+"`") {
			t.Errorf("docs/redis.md does not name `%s`", name)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]redisq.Config{
		"no name":               {Kind: "work"},
		"a name of another key": {Name: "work:ids", Kind: "work"},
		"a name with a tag":     {Name: "{other}", Kind: "work"},
		"no kind":               {Name: "work"},
		"a lease of no time":    {Name: "work", Kind: "work", LeaseTime: time.Microsecond},
		"a lease back in time":  {Name: "work", Kind: "work", LeaseTime: -time.Second},
	} {
		if _, err := redisq.New[string]((*redis.Client)(nil), cfg); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if _, err := redisq.New[string](nil, redisq.Config{Name: "work", Kind: "work"}); err == nil {
		t.Error("no client: got no error")
	}
}

func TestLeaseRefusesWorkerNames(t *testing.T) {
	t.Parallel()
	q := open(t, redistest.Start(t).Client(), time.Minute)
	for _, worker := range []string{"", "(free)"} {
		if _, err := q.Lease(t.Context(), worker, 1); err == nil {
			t.Errorf("worker %q: got no error", worker)
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	q, err := redisq.New[string](redistest.Start(t).Client(), redisq.Config{
		Name: "work", Kind: "work", LeaseTime: 50 * time.Millisecond, Metrics: metrics.NewQueue(reg, "work"),
	})
	if err != nil {
		t.Fatal(err)
	}
	push(t, q, "a")
	first := one(t, q, "dead", "a")
	second := one(t, q, "heir", "a")
	if err := q.Ack(t.Context(), first); !errors.Is(err, queue.ErrLeaseLost) {
		t.Errorf("ack: got %v, want %v", err, queue.ErrLeaseLost)
	}
	if err := q.Return(t.Context(), second, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	one(t, q, "heir", "a") // returned, so not reclaimed
	want := `
# HELP millrace_queue_leased_total Items leased, by queue.
# TYPE millrace_queue_leased_total counter
millrace_queue_leased_total{queue="work"} 3
# HELP millrace_queue_leases_lost_total Leases found lost by their holder, by queue.
# TYPE millrace_queue_leases_lost_total counter
millrace_queue_leases_lost_total{queue="work"} 1
# HELP millrace_queue_reclaimed_total Items leased again because their lease ran out, by queue.
# TYPE millrace_queue_reclaimed_total counter
millrace_queue_reclaimed_total{queue="work"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want),
		"millrace_queue_leased_total", "millrace_queue_leases_lost_total", "millrace_queue_reclaimed_total"); err != nil {
		t.Error(err)
	}
}

// TestUnreadableEntryIsBuried puts what no release of ours would write between two good items. It neither jams the line
// nor is lost.
func TestUnreadableEntryIsBuried(t *testing.T) {
	t.Parallel()
	good := map[string]any{"id": "bad", "v1": `"x"`, "pushed": "1", "tries": "1"}
	for field, value := range map[string]any{"id": "", "v1": "{", "pushed": "now", "tries": "many", "v2": nil} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			rdb := redistest.Start(t).Client()
			var log strings.Builder
			q, err := redisq.New[string](rdb, redisq.Config{Name: "work", Kind: "work", Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			entry := map[string]any{}
			maps.Copy(entry, good)
			entry[field] = value
			if field == "v2" {
				delete(entry, "v1")
				entry["v2"] = "what a later release writes"
			}
			push(t, q, "a")
			sid := rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: entry}).Val()
			rdb.HSet(t.Context(), ids, entry["id"], sid)
			push(t, q, "b")
			if diff := cmp.Diff([]string{"a", "b"}, leased(t, q, "w", 3)); diff != "" {
				t.Errorf("leased (-want +got):\n%s", diff)
			}
			length(t, q, queue.Length{Leased: 2})
			if rdb.HExists(t.Context(), ids, entry["id"].(string)).Val() {
				t.Error("the buried item's id is still in line")
			}
			dead, _, err := q.Dead(t.Context(), "", 10)
			if err != nil || len(dead) != 1 || !strings.HasPrefix(dead[0].Why, "it cannot be read: ") {
				t.Fatalf("the dead: got %+v, %v, want the entry and why", dead, err)
			}
			want := entry["id"].(string)
			if want == "" {
				want = sid
			}
			if dead[0].Item.ID != want || dead[0].Tries < 1 || dead[0].Pushed.IsZero() {
				t.Errorf("the dead: got %+v, want it under %s, with its tries and time", dead[0], want)
			}
			if err := q.Forget(t.Context(), dead[0].Item.ID, dead[0].Token); err != nil {
				t.Error(err)
			}
			if got := log.String(); !strings.Contains(got, "level=ERROR") || !strings.Contains(got, sid) {
				t.Errorf("log: got %q, want an error that names %s", got, sid)
			}
		})
	}
}

// TestDeadAreForgottenByAge has one in the list that was buried when the epoch began.
func TestDeadAreForgottenByAge(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	q := open(t, rdb, time.Minute)
	rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: stream + ":dead", ID: "1-1", Values: []any{"id", "old", "v1", `"old"`, "why", "it was"}})
	rdb.HSet(t.Context(), stream+":dead:ids", "old", "1-1")
	if dead, _, err := q.Dead(t.Context(), "", 10); err != nil || len(dead) != 0 {
		t.Errorf("the dead: got %+v, %v, want none: it is too old", dead, err)
	}
	push(t, q, "a")
	if err := q.Bury(t.Context(), one(t, q, "w", "a"), "why"); err != nil {
		t.Fatal(err)
	}
	if got := rdb.XLen(t.Context(), stream+":dead").Val(); got != 1 {
		t.Errorf("entries after the next burial: got %d, want 1", got)
	}
	if lines, err := redisq.Buried(t.Context(), rdb); err != nil || !slices.Equal(lines, []string{"work"}) {
		t.Errorf("lines that have buried something: got %v, %v, want this one", lines, err)
	}
	if err := q.Forget(t.Context(), "old", "1-1"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("forget the old one: got %v, want %v", err, queue.ErrNotFound)
	}
}

func open(t testing.TB, rdb redis.UniversalClient, leaseTime time.Duration) *redisq.Queue[string] {
	t.Helper()
	q, err := redisq.New[string](rdb, redisq.Config{Name: "work", Kind: "work", LeaseTime: leaseTime})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func push(t testing.TB, q queue.Queue[string], ids ...string) {
	t.Helper()
	items := make([]queue.Item[string], 0, len(ids))
	for _, id := range ids {
		items = append(items, queue.Item[string]{ID: id, Value: id})
	}
	if err := q.Push(t.Context(), items...); err != nil {
		t.Fatal(err)
	}
}

func lease(t testing.TB, q queue.Queue[string], worker string, limit int) []queue.Lease[string] {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	leases, err := q.Lease(ctx, worker, limit)
	if err != nil {
		t.Fatal(err)
	}
	return leases
}

func leased(t testing.TB, q queue.Queue[string], worker string, limit int) (got []string) {
	t.Helper()
	for _, l := range lease(t, q, worker, limit) {
		got = append(got, l.Item.ID)
	}
	return got
}

func one(t testing.TB, q queue.Queue[string], worker, id string) queue.Lease[string] {
	t.Helper()
	got := lease(t, q, worker, 1)[0]
	if got.Item.ID != id {
		t.Fatalf("leased: got %s, want %s", got.Item.ID, id)
	}
	return got
}

func length(t testing.TB, q queue.Queue[string], want queue.Length) {
	t.Helper()
	if got, err := q.Len(t.Context()); err != nil || got != want {
		t.Errorf("length: got %+v, %v, want %+v", got, err, want)
	}
}

func numbered(n int) []string {
	got := make([]string, n)
	for i := range got {
		got[i] = fmt.Sprintf("item-%06d", i)
	}
	return got
}
