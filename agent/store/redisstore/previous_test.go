package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/store/redisstore"
	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/runners"
)

// What a Millrace of before lanes kept of a run of two tasks, one running and one to come.
const (
	previousPlan = `{"id":"abcdefghij234567abcd","event":{"id":"d234567abcdefghij","kind":"push","forge":"gitea","repo":{"id":"7","name":"shop/api"},` +
		`"ref":"refs/heads/main","branch":"main","after":"0123456789abcdef","message":"","author":{"name":""},"sender":"ada","time":"2026-11-23T09:00:00Z"},` +
		`"cause":{"kind":"delivery"},"pipeline":"build","file":".millrace.yaml","stages":[{"name":"s","tasks":[` +
		`{"name":"a","template":{"name":"script","version":"v1"},"runner":"local","line":"local"},` +
		`{"name":"b","template":{"name":"script","version":"v1"},"runner":"local","line":"local"}]}],"created_at":"2026-11-23T09:00:00Z"}`
	previousHead = `1 {"state":"running","started_at":"2026-11-23T09:00:01Z","told":[{"to":"status","state":"running","at":"2026-11-23T09:00:02Z"}]}`
	previousA    = `1 {"state":"running","attempt":1,"worker":"w","uid":"u","queued_at":"2026-11-23T09:00:00Z","started_at":"2026-11-23T09:00:01Z"}`
	previousB    = `1 {"state":"pending","attempt":0}`
)

// TestPreviousRunsGoOn loads a run that was stored before there were lanes, and brings it to its end.
func TestPreviousRunsGoOn(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	const id, place = "abcdefghij234567abcd", "019aaf9a5400abcdefghij234567abcd"
	key := "{millrace}:run:" + id
	rdb.HSet(t.Context(), key, "version", 2, "head", previousHead, "t:a", previousA, "t:b", previousB)
	rdb.Set(t.Context(), key+":plan", enc.EncodeAll([]byte(previousPlan), []byte("1 ")), 0)
	rdb.ZAdd(t.Context(), "{millrace}:runs:live", redis.Z{Member: place})

	s := redisstore.New(rdb, redisstore.Config{})
	r, err := s.Load(t.Context(), id)
	if err != nil || r.InLane() || r.Held() {
		t.Fatalf("%v, in a lane %v, held %v; want a run without a lane", err, r.InLane(), r.Held())
	}
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for _, f := range []run.Fact{
		run.Ended{Task: "a", Attempt: 1, Result: runners.Result{Class: runners.Succeeded}, At: at},
		run.Started{Task: "b", Attempt: 1, Worker: "w", At: at},
		run.Ended{Task: "b", Attempt: 1, Result: runners.Result{Class: runners.Succeeded}, At: at},
	} {
		if r, _, err = store.Apply(t.Context(), s, r, f); err != nil {
			t.Fatalf("tell %#v: %v", f, err)
		}
		if head := rdb.HGet(t.Context(), key, "head").Val(); !strings.HasPrefix(head, "1 ") {
			t.Errorf("its head is written as %.2s, so that the Millrace that made it cannot read it any more", head)
		}
	}
	if r.State != run.Succeeded {
		t.Errorf("the run is %s, want succeeded", r.State)
	}
}

// TestMoreListeners holds that a Millrace that knows one listener of a run leaves alone what has more.
func TestMoreListeners(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	s := redisstore.New(rdb, redisstore.Config{})
	for id, c := range map[string]struct {
		status pipeline.Status
		want   string
	}{
		"none":  {pipeline.Status{}, "1 "},
		"tasks": {pipeline.Status{Tasks: true}, "2 "},
		"sum":   {pipeline.Status{Sum: true}, "2 "},
	} {
		r := newRun(id, 1)
		r.Plan.Status = c.status
		r, _ = run.New(r.Plan)
		create(t, s, r)
		if head := rdb.HGet(t.Context(), "{millrace}:run:"+id, "head").Val(); !strings.HasPrefix(head, c.want) {
			t.Errorf("%s: the head is written as %.2s, want %s", id, head, c.want)
		}
		if got, err := s.Load(t.Context(), id); err != nil || !got.Same(r) {
			t.Errorf("%s: got %+v, %v", id, got, err)
		}
	}
}

// TestLaneRoundTrips counts what a lane costs, and holds that a Millrace of before lanes leaves its runs alone.
func TestLaneRoundTrips(t *testing.T) {
	t.Parallel()
	rdb, n := redistest.Start(t).Client(), &trips{}
	s := redisstore.New(rdb, redisstore.Config{})
	lane := func(id string) run.Run {
		r := newRun(id, 3)
		r.Plan.Lane = &run.LanePlan{Name: "l", Concurrency: pipeline.Concurrency{Group: "main", Limit: 1, WhenFull: pipeline.Queue, MaxQueue: 20}}
		r, _ = run.New(r.Plan)
		return r
	}
	warm := newRun("warm", 1) // so that Redis knows the scripts
	create(t, s, warm)
	if _, _, err := s.Save(t.Context(), warm, started(t, warm)); err != nil {
		t.Fatal(err)
	}
	rdb.AddHook(n)
	ctx := t.Context()
	var first run.Run
	for _, step := range []struct {
		name string
		want int64
		do   func() (err error)
	}{
		{"a lane with nobody in it", 1, func() error { _, err := s.Lane(ctx, "l"); return err }},
		{"create in an empty lane", 1, func() (err error) { first, err = s.Create(ctx, lane("first")); return err }},
		{"create in a full lane", 1, func() error { _, err := s.Create(ctx, lane("second")); return err }},
		{"a lane", 2, func() error { _, err := s.Lane(ctx, "l"); return err }},
		{"save the end", 1, func() error {
			next, _, err := first.Apply(run.Cancel{By: "alice", Reason: "not needed", At: first.Plan.CreatedAt})
			if err != nil {
				return err
			}
			_, _, err = s.Save(ctx, first, next)
			return err
		}},
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
	if head := rdb.HGet(ctx, "{millrace}:run:second", "head").Val(); !strings.HasPrefix(head, "2 ") {
		t.Errorf("the head of a run in a lane is written as %.2s, want form 2", head)
	}
}
