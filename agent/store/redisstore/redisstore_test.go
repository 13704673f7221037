package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/store/redisstore"
	"github.com/millrace-ci/millrace/agent/store/storetest"
	"github.com/millrace-ci/millrace/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLaws(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) (here, there storetest.Store) {
		server := redistest.Start(t)
		return redisstore.New(server.Client(), redisstore.Config{}), redisstore.New(server.Client(), redisstore.Config{})
	})
}

// newRun is a run of n parallel tasks of a repository.
func newRun(id string, tasks int) run.Run {
	stage := run.StagePlan{Parallel: true}
	for i := range tasks {
		stage.Tasks = append(stage.Tasks, run.TaskPlan{Name: fmt.Sprint("t", i), Line: "local"})
	}
	plan := &run.Snapshot{ID: id, Pipeline: "release", Stages: []run.StagePlan{stage}, CreatedAt: time.UnixMilli(1e12).UTC()}
	plan.Event.Repo.Name, plan.Event.Branch, plan.Event.After = "shop/api", "main", "0123456789abcdef"
	r, _ := run.New(plan)
	return r
}

func create(t testing.TB, s *redisstore.Store, r run.Run) {
	t.Helper()
	if _, err := s.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// started is r after its first task started.
func started(t testing.TB, r run.Run) run.Run {
	t.Helper()
	next, _, err := r.Apply(run.Started{Task: "t0", Attempt: 1, Worker: fmt.Sprint("w", r.Version), At: r.Plan.CreatedAt})
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	if err := (redisstore.Config{}).Validate(); err != nil {
		t.Errorf("the zero Config: %v", err)
	}
	err := redisstore.Config{KeepPlans: time.Millisecond, CacheBytes: -1}.Validate()
	if err == nil || !strings.Contains(err.Error(), "plans") || !strings.Contains(err.Error(), "cache") {
		t.Errorf("got %v, want both mistakes", err)
	}
}

// trips counts the round trips of a client.
type trips struct{ atomic.Int64 }

func (n *trips) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (n *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { n.Add(1); return next(ctx, cmd) }
}

func (n *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { n.Add(1); return next(ctx, cmds) }
}

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	warm := redisstore.New(server.Client(), redisstore.Config{}) // so that Redis knows the scripts
	first := newRun("first", 3)
	create(t, warm, first)
	if _, _, err := warm.Save(t.Context(), first, started(t, first)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := warm.List(t.Context(), store.Filter{}, "", 1); err != nil {
		t.Fatal(err)
	}
	gone := newRun("gone", 1)
	gone.State, gone.Told = run.Canceled, []run.Told{{To: run.StatusListener, State: "canceled"}}
	gone.Tasks[0].State = run.Canceled
	if err := warm.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	ended := gone
	ended.Plan = newRun("ended", 1).Plan
	create(t, warm, ended)
	if _, err := warm.Missed(t.Context(), "", 1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := warm.Uncounted(t.Context(), "", 1); err != nil {
		t.Fatal(err)
	}
	if err := warm.Count(t.Context(), ended, 1); err != nil {
		t.Fatal(err)
	}
	if over, err := warm.Over(t.Context(), 0, 1); err != nil || len(over) != 1 {
		t.Fatalf("over: got %v, %v", over, err)
	}
	rdb, n := server.Client(), &trips{}
	rdb.Ping(t.Context()) // A connection's own handshake does not count.
	rdb.AddHook(n)
	s, r := redisstore.New(rdb, redisstore.Config{}), newRun("second", 3)
	ctx := t.Context()
	for _, step := range []struct {
		name string
		want int64
		do   func() error
	}{
		{"create", 1, func() error { _, err := s.Create(ctx, r); return err }},
		{"save", 1, func() error { _, _, err := s.Save(ctx, r, started(t, r)); return err }},
		{"load, snapshot known", 1, func() error { _, err := s.Load(ctx, "second"); return err }},
		{"load, snapshot unknown", 1, func() error { _, err := s.Load(ctx, "first"); return err }},
		{"list", 2, func() error {
			_, _, err := s.List(ctx, store.Filter{Repo: "shop/api", State: run.Running}, "", 50)
			return err
		}},
		{"list of nothing", 1, func() error { _, _, err := s.List(ctx, store.Filter{State: run.Failed}, "", 50); return err }},
		{"live", 1, func() error { _, _, err := s.Live(ctx, "", 500); return err }},
		{"old", 1, func() error { _, _, err := s.Old(ctx, time.Now(), "", 500); return err }},
		{"missed", 1, func() error { _, err := s.Missed(ctx, "", 500); return err }},
		{"uncounted", 1, func() error { _, _, err := s.Uncounted(ctx, "", 500); return err }},
		{"count", 1, func() error { return s.Count(ctx, ended, 1) }},
		{"over", 1, func() error { _, err := s.Over(ctx, 0, 500); return err }},
		{"delete", 1, func() error { return s.Delete(ctx, gone) }},
		{"save plan", 1, func() error { return s.SavePlan(ctx, store.Plan{Delivery: "d1"}) }},
		{"plan", 1, func() error { _, err := s.Plan(ctx, "d1"); return err }},
	} {
		n.Store(0)
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if got := n.Load(); got != step.want {
			t.Errorf("%s: got %d round trips, want %d", step.name, got, step.want)
		}
	}
	redistest.Documented(t, rdb, "../../../docs/redis.md")
	if ttl := rdb.TTL(ctx, "{millrace}:plan:d1").Val(); ttl <= 167*time.Hour || ttl > 168*time.Hour {
		t.Errorf("the plan of a delivery is kept for %v, want 168h", ttl)
	}
}

func TestSaveWritesWhatChanged(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	s, r := redisstore.New(rdb, redisstore.Config{}), newRun("r", 3)
	create(t, s, r)
	const mark = "nobody wrote this"
	rdb.HSet(t.Context(), "{millrace}:run:r", "t:t1", mark, "t:t2", mark)
	r, _, err := s.Save(t.Context(), r, started(t, r))
	if err != nil {
		t.Fatal(err)
	}
	rdb.HSet(t.Context(), "{millrace}:run:r", "head", mark)
	if _, _, err := s.Save(t.Context(), r, started(t, r)); err != nil { // another worker joins: the head stays
		t.Fatal(err)
	}
	hash := rdb.HGetAll(t.Context(), "{millrace}:run:r").Val()
	if got, want := []string{hash["head"], hash["t:t1"], hash["t:t2"]}, []string{mark, mark, mark}; !cmp.Equal(got, want) {
		t.Errorf("what did not change was written: got %q", got)
	}
	if !strings.Contains(hash["t:t0"], `"worker":"w1"`) {
		t.Errorf("what changed was not written: got %q", hash["t:t0"])
	}
}

// TestNewerForms reads values as a later Millrace may have written them, and ones that are broken.
func TestNewerForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ value, want string }{
		{"3 {}", "run the newer Millrace"},
		{"", "missing"},
		{"{}", "in which form"},
		{"1 {", "read"},
		{"1 \x28\xb5\x2f\xfd", "read"},
	} {
		rdb := redistest.Start(t).Client()
		s, r := redisstore.New(rdb, redisstore.Config{}), newRun("r", 1)
		create(t, s, r)
		ctx := t.Context()
		check := func(what string, err error) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s is %q: got %v, want %q", what, c.value, err, c.want)
			}
		}
		for _, field := range []string{"head", "t:t0"} {
			was := rdb.HGet(ctx, "{millrace}:run:r", field).Val()
			rdb.HSet(ctx, "{millrace}:run:r", field, c.value)
			_, err := s.Load(ctx, "r")
			check(field, err)
			rdb.HSet(ctx, "{millrace}:run:r", field, was)
		}
		if c.value == "1 {" {
			continue // not compressed
		}
		rdb.Set(ctx, "{millrace}:run:r:plan", c.value, 0)
		_, err := redisstore.New(rdb, redisstore.Config{}).Load(ctx, "r")
		check("snapshot", err)
		rdb.Set(ctx, "{millrace}:plan:d", c.value, 0)
		if _, err = s.Plan(ctx, "d"); !strings.Contains(c.value, "\x28") {
			check("plan", err)
		} else if err == nil {
			t.Error("a broken plan was read")
		}
	}
}

func TestSnapshotsAreCachedWithinBounds(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	writer, reader := redisstore.New(rdb, redisstore.Config{}), redisstore.New(rdb, redisstore.Config{CacheBytes: 10_000})
	gets := func(id string) int {
		t.Helper()
		rdb.ConfigResetStat(t.Context())
		if _, err := reader.Load(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return strings.Count(rdb.Info(t.Context(), "commandstats").Val(), "cmdstat_get:")
	}
	for i := range 20 {
		create(t, writer, newRun(fmt.Sprint("r", i), 3)) // of some 1,500 bytes
	}
	if got := []int{gets("r0"), gets("r0")}; !cmp.Equal(got, []int{1, 0}) {
		t.Errorf("loading twice got the snapshot %v times, want once", got)
	}
	used := 0
	for i := range 20 {
		gets(fmt.Sprint("r", i))
		used += gets("r1")
	}
	if got := []int{gets("r0"), used, gets("r19")}; !cmp.Equal(got, []int{1, 1, 0}) {
		t.Errorf("an old, a used and a new snapshot were got %v times, want 1, 1, 0", got)
	}
}

func TestFullRedisKeepsNothingByHalves(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	s, r := redisstore.New(rdb, redisstore.Config{}), newRun("r", 2)
	create(t, s, r)
	ctx := t.Context()
	rdb.ConfigSet(ctx, "maxmemory", "1")
	if _, err := s.Create(ctx, newRun("late", 2)); err == nil || errors.Is(err, store.ErrExists) {
		t.Errorf("create in a full Redis: got %v", err)
	}
	if _, _, err := s.Save(ctx, r, started(t, r)); err == nil || errors.Is(err, store.ErrConflict) {
		t.Errorf("save in a full Redis: got %v", err)
	}
	rdb.ConfigSet(ctx, "maxmemory", "0")
	got, err := s.Load(ctx, "r")
	if diff := cmp.Diff(r, got); diff != "" || err != nil {
		t.Errorf("%v, the run changed (-want +got):\n%s", err, diff)
	}
	runs, _, err := s.List(ctx, store.Filter{}, "", 10)
	if len(runs) != 1 || err != nil {
		t.Errorf("got %d runs, %v, want 1", len(runs), err)
	}
	if _, err := s.Load(ctx, "late"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("half a run is there: %v", err)
	}
	if _, _, err := s.Save(ctx, r, started(t, r)); err != nil {
		t.Errorf("save again: %v", err)
	}
}

// TestListLooksAtABoundedNumber joins two long lists that have nothing in common.
func TestListLooksAtABoundedNumber(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	s := redisstore.New(rdb, redisstore.Config{})
	var failed, api []redis.Z
	for i := range 6_000 {
		failed = append(failed, redis.Z{Member: fmt.Sprintf("%012xf", i)})
		api = append(api, redis.Z{Member: fmt.Sprintf("%012xa", i)})
	}
	rdb.ZAdd(t.Context(), "{millrace}:runs:state:failed", failed...)
	rdb.ZAdd(t.Context(), "{millrace}:runs:repo:shop/api", api...)
	pages, cursor := 0, ""
	for more := true; more; more = cursor != "" {
		runs, next, err := s.List(t.Context(), store.Filter{Repo: "shop/api", State: run.Failed}, cursor, 50)
		if len(runs) > 0 || err != nil {
			t.Fatalf("got %d runs, %v", len(runs), err)
		}
		pages, cursor = pages+1, next
	}
	if pages != 2 {
		t.Errorf("got %d pages, want 2", pages)
	}
}

func TestChangesComeBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := server.Client()
	s := redisstore.New(rdb, redisstore.Config{})
	changes, err := s.Changes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := func() string {
		t.Helper()
		select {
		case id := <-changes:
			return id
		case <-time.After(30 * time.Second):
			t.Fatal("no change is told")
		}
		return ""
	}
	interrupt := map[string]func(){
		"connection lost": func() { rdb.ClientKillByFilter(t.Context(), "TYPE", "pubsub") },
		"redis restarted": server.Restart,
	}
	for name, f := range interrupt {
		f()
		if got := next(); got != "" {
			t.Errorf("%s: got %q, want to be told that some were missed", name, got)
		}
		create(t, s, newRun("after", 1))
		if got := next(); got != "after" {
			t.Errorf("%s: got %q, want %q", name, got, "after")
		}
		rdb.FlushAll(t.Context())
	}
}

func TestChangesWithoutRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := redisstore.New(server.Client(), redisstore.Config{})
	server.Kill()
	if _, err := s.Changes(t.Context()); err == nil {
		t.Error("got no error without Redis")
	}
}
