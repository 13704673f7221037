package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/api"
	"github.com/millrace-ci/millrace/agent/logs/memlogs"
	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/store/memstore"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
	"github.com/millrace-ci/millrace/triggers/inbox/meminbox"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// start is when everything begins: with a fraction that must be cut, in a zone that must not be shown.
var start = time.Date(2026, 11, 23, 10, 0, 0, 123_456_789, time.FixedZone("", 3600))

// house is the API over stores in memory. It is its own Actions.
type house struct {
	t      *testing.T
	store  *memstore.Store
	inbox  *meminbox.Inbox
	logs   *memlogs.Logs
	logged *bytes.Buffer
	dead   []queue.Dead[run.Reference]
	cfg    api.Config
	api    http.Handler
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, store: memstore.New(), inbox: meminbox.New(), logs: memlogs.New(), logged: &bytes.Buffer{}}
	h.cfg = api.Config{
		URL: "http://mill.example", Runs: h.store, Plans: h.store, Inbox: h.inbox, Logs: h.logs, Actions: h,
		Log: slog.New(slog.NewTextHandler(h.logged, nil)),
	}
	h.api = api.New(h.cfg)
	return h
}

// Cancel is api.Actions'.
func (h *house) Cancel(ctx context.Context, id, by string) (run.Run, error) {
	r, err := h.store.Load(ctx, id)
	if err != nil {
		return r, err
	}
	r, _, err = store.Apply(ctx, h.store, r, run.Cancel{By: by, Reason: "canceled by " + by, At: start})
	return r, err
}

// Output is api.Actions'.
func (h *house) Output(ctx context.Context, id, task string, attempt int, outputs map[string]string) (run.Run, error) {
	r, err := h.store.Load(ctx, id)
	if err != nil {
		return r, err
	}
	r, _, err = store.Apply(ctx, h.store, r, run.Wrote{Task: task, Attempt: attempt, Outputs: outputs, At: start})
	return r, err
}

// ask sends a request and wants a status.
func (h *house) ask(method, path string, status int) *httptest.ResponseRecorder {
	h.t.Helper()
	w := httptest.NewRecorder()
	h.api.ServeHTTP(w, httptest.NewRequestWithContext(h.t.Context(), method, path, nil))
	if w.Code != status {
		h.t.Fatalf("%s %s: got %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	return w
}

// read asks for JSON.
func read[T any](h *house, path string) T {
	h.t.Helper()
	var v T
	if err := json.Unmarshal(h.ask(http.MethodGet, path, http.StatusOK).Body.Bytes(), &v); err != nil {
		h.t.Fatalf("%s: %v", path, err)
	}
	return v
}

// snapshot is the nth one: two stages, of two tasks together and of one.
func snapshot(nth int) *run.Snapshot {
	task := func(name string) run.TaskPlan {
		return run.TaskPlan{Name: name, Template: template.Template{Name: "script", Version: "v1"}, Runner: "local", Line: "local"}
	}
	return &run.Snapshot{
		ID: fmt.Sprintf("run%d", nth), Pipeline: "build", File: ".millrace.yaml", Cause: run.Cause{Kind: "delivery", ID: "d1"},
		Event: triggers.Event{
			ID: "d1", Delivery: "d1", Kind: triggers.Push, Forge: "gitea", Repo: triggers.Repository{Name: "shop/api"}, Ref: "refs/heads/main",
			Branch: "main", After: strings.Repeat(fmt.Sprintf("%02x", nth), 20), Message: "mend <it>", Sender: "mei", Time: start,
		},
		Stages:    []run.StagePlan{{Name: "check", Parallel: true, Tasks: []run.TaskPlan{task("unit"), task("lint")}}, {Name: "ship", Tasks: []run.TaskPlan{task("image")}}},
		CreatedAt: start.Add(time.Duration(nth) * time.Second),
	}
}

// create keeps the run of a snapshot, after the facts.
func (h *house) create(s *run.Snapshot, facts ...run.Fact) run.Run {
	h.t.Helper()
	r, _ := run.New(s)
	for _, f := range facts {
		next, _, err := r.Apply(f)
		if err != nil {
			h.t.Fatal(err)
		}
		r = next
	}
	if _, err := h.store.Create(h.t.Context(), r); err != nil {
		h.t.Fatal(err)
	}
	return r
}

// red is what makes a run fail whose status could not be told.
func red() []run.Fact {
	return []run.Fact{
		run.Started{Task: "unit", Attempt: 1, Worker: "w1", At: start.Add(time.Second)},
		run.Started{Task: "lint", Attempt: 1, Worker: "w2", At: start.Add(time.Second)},
		run.Ended{Task: "unit", Attempt: 1, At: start.Add(3 * time.Second), Result: runners.Result{Class: runners.Failure, ExitCode: 2, Reason: "the command ended with exit code 2"}},
		run.Ended{Task: "lint", Attempt: 1, At: start.Add(4 * time.Second), Result: runners.Result{Class: runners.Succeeded, Outputs: map[string]string{"REPORT": "clean"}, Summary: "# Clean"}},
		run.Told{To: run.StatusListener, State: "failed", At: start.Add(5 * time.Second), Error: "gitea answers 403"},
	}
}

// deliver keeps a delivery, and settles it unless o is nil.
func (h *house) deliver(nth int, o *inbox.Outcome) triggers.Delivery {
	h.t.Helper()
	d := triggers.Delivery{ID: fmt.Sprintf("d%d", nth), Forge: "gitea", Key: fmt.Sprintf("key-%d", nth), Kind: "push", Header: http.Header{"X-Gitea-Event": {"push"}}, Body: []byte("{}"), At: start.Add(time.Duration(nth) * time.Second)}
	if _, err := h.inbox.Keep(h.t.Context(), d); err != nil {
		h.t.Fatal(err)
	}
	if o != nil {
		if err := h.inbox.Settle(h.t.Context(), d.ID, *o); err != nil {
			h.t.Fatal(err)
		}
	}
	return d
}

// golden compares JSON with a file, indented so that people can read it.
func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	var got bytes.Buffer
	if err := json.Indent(&got, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	file := "testdata/" + name + ".json"
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got, -update rewrites it):\n%s", file, diff)
	}
}

func TestRunShape(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(snapshot(1), red()...)
	golden(t, "run", h.ask(http.MethodGet, "/api/v1/runs/run1", http.StatusOK).Body.Bytes())
	h.create(snapshot(2))
	golden(t, "run_waiting", h.ask(http.MethodGet, "/api/v1/runs/run2", http.StatusOK).Body.Bytes())
	for nth := 4; nth <= 5; nth++ {
		held := snapshot(nth)
		held.Lane = &run.LanePlan{Name: "lane", Concurrency: pipeline.Concurrency{Group: "build refs/heads/main", Limit: 1, WhenFull: pipeline.Queue, MaxQueue: 20}}
		h.create(held)
	}
	golden(t, "run_held", h.ask(http.MethodGet, "/api/v1/runs/run5", http.StatusOK).Body.Bytes())
	broken := snapshot(3)
	broken.Stages = nil
	broken.Problems = []pipeline.Problem{{File: ".millrace.yaml", Pos: param.Pos{Line: 7, Column: 3}, Message: "unknown key `tsks`", Quote: "  tsks:"}}
	h.create(broken)
	golden(t, "run_broken", h.ask(http.MethodGet, "/api/v1/runs/run3", http.StatusOK).Body.Bytes())
}

func TestDeliveryShape(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deliver(1, &inbox.Outcome{At: start.Add(2 * time.Second)})
	e := snapshot(1).Event
	plan := store.Plan{Delivery: "d1", Event: e, At: start, Explanations: []store.Explained{
		{Explanation: pipeline.Explanation{Pipeline: "build", File: ".millrace/build.yaml", Matched: true, Reason: `push to main matches branches "main"`}, Run: "run1"},
		{Explanation: pipeline.Explanation{Pipeline: "docs", File: ".millrace/docs.yaml", Reason: `no changed file matches paths "docs/**"`}},
	}}
	if err := h.store.SavePlan(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	golden(t, "delivery", h.ask(http.MethodGet, "/api/v1/deliveries/d1", http.StatusOK).Body.Bytes())
	h.deliver(2, nil)
	golden(t, "deliveries", h.ask(http.MethodGet, "/api/v1/deliveries", http.StatusOK).Body.Bytes())
}

func TestDeliveryStates(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deliver(1, nil)
	h.deliver(2, &inbox.Outcome{At: start})
	h.deliver(3, &inbox.Outcome{At: start, Error: "no commit"})
	h.deliver(4, &inbox.Outcome{At: start, Error: "a star", Ignored: true})
	h.deliver(6, &inbox.Outcome{At: start, Error: "duplicate", Ignored: true, First: "d2"})
	if _, err := h.inbox.Keep(t.Context(), triggers.Delivery{ID: "d5", Forge: "gitea", Key: "key-5", Kind: "star", Ignored: "nothing to act on", At: start.Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range read[api.Page[api.Delivery]](h, "/api/v1/deliveries").Items {
		got = append(got, strings.TrimSpace(strings.Join([]string{d.ID, d.State, d.Error, d.DuplicateOf}, " ")))
	}
	want := []string{"d5 ignored nothing to act on", "d6 duplicate duplicate d2", "d4 ignored a star", "d3 failed no commit", "d2 planned", "d1 accepted"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
}

// TestOriginIsShown: what came from no forge says so, of the delivery and of its run.
func TestOriginIsShown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deliver(1, &inbox.Outcome{At: start})
	found := snapshot(1)
	found.Event.Recovered, found.Cause = true, run.Cause{Kind: "replay", ID: "d7"}
	h.create(found)
	if err := h.store.SavePlan(t.Context(), store.Plan{Delivery: "d1", Event: found.Event, Cause: found.Cause, At: start}); err != nil {
		t.Fatal(err)
	}
	if d := read[api.Delivery](h, "/api/v1/deliveries/d1"); !d.Recovered || d.ReplayOf != "d7" {
		t.Errorf("got %+v, want it recovered, and a replay of d7", d)
	}
	if r := read[api.Run](h, "/api/v1/runs/run1"); !r.Recovered || r.Cause != found.Cause {
		t.Errorf("got %+v, want it recovered, and its cause", r)
	}
}

// TestTellings: of one run all that was told, the newest first; in lists what was told last.
func TestTellings(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r, _ := run.New(snapshot(1))
	r.Told = []run.Told{
		{To: run.StatusListener, State: "pending", At: start, Context: "millrace/build", Text: "waiting", Took: 84 * time.Millisecond, Status: 201, Tries: 1},
		{To: run.StatusListener, State: "running", At: start.Add(time.Second), Error: "502", Again: true, Tries: 4},
	}
	if _, err := h.store.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	got := read[api.Run](h, "/api/v1/runs/run1")
	if len(got.Tellings) != 2 || got.Tellings[0].State != "running" || !got.Tellings[0].Again || got.Tellings[1].TookMS != 84 || got.Tellings[1].Status != 201 {
		t.Errorf("got %+v, want both, the newest first", got.Tellings)
	}
	if got.Status == nil || got.Status.State != "pending" || got.Status.Error != "" {
		t.Errorf("got %+v, want what the forge knows", got.Status)
	}
	if page := read[api.Page[api.Run]](h, "/api/v1/runs"); page.Items[0].Tellings != nil {
		t.Errorf("a list tells %+v", page.Items[0].Tellings)
	}
}

func TestRunFilters(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(snapshot(1), red()...)
	other := snapshot(2)
	other.Pipeline, other.Event.Repo.Name, other.Event.Branch = "docs", "shop/web", "next"
	h.create(other)
	for query, want := range map[string][]string{
		"":                                    {"run2", "run1"},
		"?repo=shop/api":                      {"run1"},
		"?branch=next":                        {"run2"},
		"?pipeline=docs&repo=shop/we":         nil,
		"?state=failed":                       {"run1"},
		"?state=waiting&branch=next":          {"run2"},
		"?commit=0202020":                     {"run2"},
		"?commit=" + strings.Repeat("01", 20): {"run1"},
	} {
		var got []string
		for _, r := range read[api.Page[api.Run]](h, "/api/v1/runs"+query).Items {
			got = append(got, r.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", query, got, want)
		}
	}
}

func TestListsGoOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for n := range 7 {
		h.create(snapshot(n + 1))
		h.deliver(n+1, nil)
	}
	for list, newest := range map[string]string{"runs": "run", "deliveries": "d"} {
		var got []string
		next, pages := "", 0
		for {
			page := read[api.Page[struct{ ID string }]](h, "/api/v1/"+list+"?limit=3&cursor="+next)
			for _, item := range page.Items {
				got = append(got, item.ID)
			}
			pages++
			if next = page.Next; next == "" {
				break
			}
		}
		want := []string{}
		for n := 7; n > 0; n-- {
			want = append(want, fmt.Sprint(newest, n))
		}
		if !slices.Equal(got, want) || pages != 3 {
			t.Errorf("%s: got %v in %d pages, want %v in 3", list, got, pages, want)
		}
	}
}

func TestEmptyListsAreLists(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, list := range []string{"runs", "deliveries", "dead"} {
		if got, want := h.ask(http.MethodGet, "/api/v1/"+list, http.StatusOK).Body.String(), `{"items":[],"next":""}`+"\n"; got != want {
			t.Errorf("%s: got %s, want %s", list, got, want)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(snapshot(1))
	w := h.ask(http.MethodPost, "/api/v1/runs/run1/cancel", http.StatusAccepted)
	var got api.Run
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.State != run.Canceled || got.Reason != "canceled by the API" {
		t.Errorf("got %s, %q, want canceled by the API", got.State, got.Reason)
	}
	h.ask(http.MethodPost, "/api/v1/runs/run1/cancel", http.StatusAccepted) // again changes nothing
}

func TestTimesReadBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(snapshot(0))
	got := read[api.Run](h, "/api/v1/runs/run0")
	if want := start.Truncate(time.Millisecond); !got.CreatedAt.Time().Equal(want) || !got.EndedAt.Time().IsZero() {
		t.Errorf("got created %v, ended %v, want %v and none", got.CreatedAt.Time(), got.EndedAt.Time(), want)
	}
}

var errAway = errors.New("dial tcp 10.0.0.7:6379: refused")

// away is runs that cannot be listed.
type away struct {
	store.Runs
	err error
}

func (a away) List(context.Context, store.Filter, string, int) ([]run.Run, string, error) {
	return nil, "", fmt.Errorf("list runs: %w", a.err)
}

func TestProblems(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(snapshot(1))
	for _, c := range []struct {
		method, path string
		status       int
		detail       string
	}{
		{"GET", "/api/v1/runs?limit=0", 400, "limit"},
		{"GET", "/api/v1/runs?limit=501", 400, "limit"},
		{"GET", "/api/v1/runs?limit=many", 400, "limit"},
		{"GET", "/api/v1/deliveries?limit=-1", 400, "limit"},
		{"GET", "/api/v1/deliveries?cursor=nonsense", 400, "cursor"},
		{"GET", "/api/v1/runs?state=done", 400, "waiting running canceling succeeded failed canceled skipped"},
		{"GET", "/api/v1/runs?commit=abc", 400, "commit"},
		{"GET", "/api/v1/runs?brnach=main", 400, `"brnach"`},
		{"GET", "/api/v1/deliveries?repo=shop/api", 400, `"repo"`},
		{"GET", "/api/v1/runs/none", 404, "no such run"},
		{"POST", "/api/v1/runs/none/cancel", 404, "no such run"},
		{"GET", "/api/v1/deliveries/none", 404, "no such delivery"},
		{"GET", "/api/v1/runs/none/tasks/unit/log", 404, "no such run"},
		{"GET", "/api/v1/runs/run1/tasks/none/log", 404, "unit, lint, image"},
		{"GET", "/api/v1/runs/run1/tasks/unit/log?attempt=2", 404, "attempt"},
		{"GET", "/api/v1/runs/run1/tasks/unit/log?attempt=0", 400, "attempt"},
		{"GET", "/api/v1/runs/run1/tasks/unit/log?offset=-1", 400, "offset"},
		{"GET", "/api/v1/runs/run1/tasks/unit/log?follow=perhaps", 400, "follow"},
		{"GET", "/api/v1/nothing", 404, "no such route"},
		{"DELETE", "/api/v1/runs/run1", 405, "GET"},
		{"GET", "/api/v1/runs/run1/cancel", 405, "POST"},
	} {
		w := h.ask(c.method, c.path, c.status)
		var got struct {
			Type, Title, Detail string
			Status              int
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Errorf("%s %s: %v", c.method, c.path, err)
		}
		if kind := w.Header().Get("Content-Type"); kind != "application/problem+json" || got.Status != c.status || got.Title != http.StatusText(c.status) || got.Type != "about:blank" {
			t.Errorf("%s %s: got %s %+v, want problem+json of status %d", c.method, c.path, kind, got, c.status)
		}
		if !strings.Contains(got.Detail, c.detail) {
			t.Errorf("%s %s: got %q, want %q in it", c.method, c.path, got.Detail, c.detail)
		}
		if allow := w.Header().Get("Allow"); c.status == 405 && allow != c.detail {
			t.Errorf("%s %s: got Allow %q, want %q", c.method, c.path, allow, c.detail)
		}
	}
	if h.logged.Len() > 0 {
		t.Errorf("the callers' mistakes are logged: %s", h.logged)
	}
}

func TestStoreIsAway(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for err, status := range map[error]int{errAway: http.StatusServiceUnavailable, store.ErrCursor: http.StatusBadRequest} {
		h.cfg.Runs = away{Runs: h.store, err: err}
		h.api = api.New(h.cfg)
		if w := h.ask(http.MethodGet, "/api/v1/runs", status); strings.Contains(w.Body.String(), "10.0.0.7") {
			t.Errorf("the answer tells where the store is: %s", w.Body)
		}
	}
	if !strings.Contains(h.logged.String(), "10.0.0.7") {
		t.Errorf("the log does not tell why: %s", h.logged)
	}
}

func TestEveryAnswerIsSealed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(snapshot(1))
	for path, status := range map[string]int{"/api/v1/runs": 200, "/api/v1/runs/none": 404, "/api/v1/runs/run1/tasks/unit/log": 200, "/api/x": 404} {
		head := h.ask(http.MethodGet, path, status).Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		} {
			if got := head.Get(name); got != want {
				t.Errorf("%s: %s: got %q, want %q", path, name, got, want)
			}
		}
	}
}
