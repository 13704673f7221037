package web_test

import (
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/logs/memlogs"
	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/store/memstore"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/agent/web"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
	"github.com/millrace-ci/millrace/triggers/inbox/meminbox"
)

var look = flag.String("look", "", "serve the sample's pages at this address until interrupted, to look at them")

// now is when all pages are asked for.
var now = time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)

// site is a page over stores in memory. It is its own Actions, see actions_test.go.
type site struct {
	t      *testing.T
	store  *memstore.Store
	inbox  *meminbox.Inbox
	logs   *memlogs.Logs
	buried []queue.Dead[run.Reference]
	asked  []string      // what its actions were asked for
	told   *run.Snapshot // what a rehearsal at revision `told` comes to
	page   http.Handler
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, store: memstore.New(), inbox: meminbox.New(), logs: memlogs.New()}
	s.page = web.New(s.config())
	return s
}

func (s *site) config() web.Config {
	return web.Config{
		Runs: s.store, Plans: s.store, Inbox: s.inbox, Logs: s.logs, Actions: s,
		Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	}
}

// get asks for a page.
func (s *site) get(path string) *httptest.ResponseRecorder {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.page.ServeHTTP(w, httptest.NewRequestWithContext(s.t.Context(), http.MethodGet, path, nil))
	return w
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// keep saves a run.
func (s *site) keep(r run.Run) run.Run {
	s.t.Helper()
	_, err := s.store.Create(s.t.Context(), r)
	s.must(err)
	return r
}

// write appends to the log of the first attempt of a run's task, stamped as runners do.
func (s *site) write(id, task string, lines ...string) {
	s.t.Helper()
	s.writeTo(logs.Key{Run: id, Task: task, Attempt: 1}, lines...)
}

func (s *site) writeTo(key logs.Key, lines ...string) {
	s.t.Helper()
	var text strings.Builder
	for i, l := range lines {
		fmt.Fprintf(&text, "%s task %s\n", now.Add(time.Duration(i)*time.Second).Format(time.RFC3339Nano), l)
	}
	s.must(s.logs.Append(s.t.Context(), key, 0, []byte(text.String())))
}

// push is an event as most are, heard some minutes ago.
func push(minutes int) triggers.Event {
	return triggers.Event{
		ID: fmt.Sprintf("devent%d", minutes), Delivery: fmt.Sprintf("devent%d", minutes), Kind: triggers.Push, Forge: "gitea",
		Repo: triggers.Repository{ID: "1", Name: "shop/api"}, Ref: "refs/heads/main", Branch: "main",
		After: "3f2a9c41d0b7e58a6c1f4d2b9e8a7c6d5b4f3e21", Message: "api: answer 404 for a basket that never was\n\nBody.",
		Author: triggers.Person{Name: "Mei Lin", Email: "mei@example.com"}, Sender: "mei", Time: now,
	}
}

// plan is a snapshot of stages, each with the tasks that its words name; a word with + in front makes it parallel.
func plan(pipelineName string, minutes int, stages ...string) *run.Snapshot {
	e := push(minutes)
	s := &run.Snapshot{
		ID: run.ID(e.ID, pipelineName), Event: e, Cause: run.Cause{Kind: "delivery", ID: e.Delivery}, Pipeline: pipelineName,
		File: ".millrace/" + pipelineName + ".yaml", CreatedAt: now.Add(-time.Duration(minutes) * time.Minute),
	}
	for _, words := range stages {
		name, tasks, _ := strings.Cut(words, ":")
		st := run.StagePlan{Name: strings.TrimPrefix(name, "+"), Parallel: strings.HasPrefix(name, "+")}
		for t := range strings.FieldsSeq(tasks) {
			st.Tasks = append(st.Tasks, run.TaskPlan{Name: t, Template: template.Template{Name: "script", Version: "v1"}, Runner: "local", Line: "local"})
		}
		s.Stages = append(s.Stages, st)
	}
	return s
}

// life tells a run facts that make of its tasks what the words say, each a second after the one before: `unit` runs
// unit, `unit+` ends it well, `unit-` ends it badly, `unit^` lets its next attempt be due, `!` cancels.
func life(t *testing.T, s *run.Snapshot, words ...string) run.Run {
	t.Helper()
	r, _ := run.New(s)
	if len(words) > 0 {
		r = store.Admitted(r)
	}
	at := s.CreatedAt
	tell := func(f run.Fact) {
		t.Helper()
		next, _, err := r.Apply(f)
		if err != nil {
			t.Fatal(err)
		}
		r = next
	}
	for _, word := range words {
		at = at.Add(37 * time.Second)
		task := strings.TrimRight(word, "+-^")
		of, _, _ := r.Task(task)
		switch {
		case word == "!":
			tell(run.Cancel{By: "mei", Reason: "canceled by mei", At: at})
		case strings.HasSuffix(word, "+"):
			tell(run.Ended{Task: task, Attempt: of.Attempt, Result: runners.Result{Class: runners.Succeeded, Outputs: map[string]string{"IMAGE": "harbor.example.com/shop/api:v1@sha256:0f0f"}}, At: at})
		case strings.HasSuffix(word, "-"):
			tell(run.Ended{Task: task, Attempt: of.Attempt, Result: runners.Result{Class: runners.Failure, ExitCode: 2, Reason: "the command ended with exit code 2"}, At: at})
		case strings.HasSuffix(word, "^"):
			tell(run.Due{Task: task, Attempt: of.Attempt, At: at})
		default:
			tell(run.Started{Task: task, Attempt: of.Attempt, Worker: "w1", At: at})
		}
	}
	return r
}

// retrying lets all tasks be retried, and rehearses the last one.
func retrying(s *run.Snapshot) *run.Snapshot {
	for i := range s.Stages {
		tasks := s.Stages[i].Tasks
		for j := range tasks {
			tasks[j].Retry = pipeline.Retry{Max: 3, Backoff: 30 * time.Second}
		}
		tasks[len(tasks)-1].DryRun = true
	}
	return s
}

// told is the run after its commit status was set, or given up when reason is not "".
func told(t *testing.T, r run.Run, reason string) run.Run {
	t.Helper()
	said := run.Told{
		To: run.StatusListener, State: r.Telling(), At: now, Error: reason, Context: "millrace/" + r.Plan.Pipeline, Text: r.Line(),
		Took: 84 * time.Millisecond, Status: http.StatusCreated, Tries: 1,
	}
	if reason != "" {
		said.Status, said.Tries = http.StatusForbidden, 3
	}
	next, _, err := r.Apply(said)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// deliver keeps a delivery; a nil outcome leaves it unplanned.
func (s *site) deliver(minutes int, kind string, o *inbox.Outcome, explained ...store.Explained) triggers.Delivery {
	s.t.Helper()
	e := push(minutes)
	d := triggers.Delivery{
		ID: e.Delivery, Forge: "gitea", Key: "f47ac10b-58cc-4372-a567-0e02b2c3d479-" + e.ID, Kind: kind, Body: []byte("{}"),
		Header: http.Header{"Content-Type": {"application/json"}, "X-Gitea-Event": {kind}, "X-Gitea-Delivery": {"f47ac10b-58cc-4372-a567-0e02b2c3d479"}},
		At:     now.Add(-time.Duration(minutes) * time.Minute),
	}
	_, err := s.inbox.Keep(s.t.Context(), d)
	s.must(err)
	if o != nil {
		s.must(s.inbox.Settle(s.t.Context(), d.ID, *o))
	}
	if explained != nil {
		s.must(s.store.SavePlan(s.t.Context(), store.Plan{Delivery: d.ID, Event: e, Explanations: explained, At: d.At}))
	}
	return d
}

// explained is one pipeline's explanation.
func explained(name, reason, runID string) store.Explained {
	return store.Explained{Explanation: pipeline.Explanation{Pipeline: name, File: ".millrace/" + name + ".yaml", Matched: runID != "", Reason: reason}, Run: runID}
}

// broken is a snapshot of a definition that cannot be read.
func broken(minutes int) *run.Snapshot {
	s := plan("release", minutes)
	s.Problems = []pipeline.Problem{
		{File: s.File, Pos: param.Pos{Line: 7, Column: 9}, Message: "unknown key `paralel`: did you mean `parallel`?", Quote: "    paralel: true"},
		{File: s.File, Pos: param.Pos{Line: 19, Column: 15}, Message: "task image: docker_build@v1 has no parameter DOCKERFILE: did you mean APP_DOCKERFILE?", Quote: strings.Repeat("        with: {DOCKERFILE: deploy/Dockerfile} ", 4)},
	}
	return s
}

// fill makes a site of everything that there is to see. It returns the addresses by name.
func (s *site) fill() map[string]string {
	t := s.t
	running := life(t, plan("build", 2, "+check: unit lint race-detector", "image: image", "deploy: rollout smoke"), "unit", "lint", "race-detector", "lint-")
	running.Plan.Stages[0].Tasks[1].IgnoreFailed = true
	running = s.keep(told(t, running, ""))
	s.write(running.Plan.ID, "unit", "go test ./...", "ok  \texample.com/shop/api/basket\t0.412s", "\x1b[32mok\x1b[0m  \texample.com/shop/api/price\t1.2s", "测试通过：购物车为空时返回 404", "downloading  10%\rdownloading 100%")
	s.write(running.Plan.ID, "lint", "basket.go:41:2: ineffectual assignment to err")
	failed := told(t, life(t, plan("build", 65, "+check: unit lint", "image: image"), "unit", "lint", "unit-", "lint+"), "gitea answers 403: the token may not write to shop/api")
	s.keep(failed)
	many := make([]string, 3000)
	for i := range many {
		many[i] = fmt.Sprintf("%5d  --- PASS: TestBasket/%d (0.01s) %s", i, i, strings.Repeat("…and more ", i%17))
	}
	s.write(failed.Plan.ID, "unit", many...)
	green := told(t, life(t, plan("build", 400, "+check: unit lint", "image: image", "deploy: rollout"), "unit", "lint", "unit+", "lint+", "image", "image+", "rollout", "rollout+"), "")
	green.Tasks[2].Summary = "# Image\n\nharbor.example.com/shop/api:v20261123-main-3f2a9c41"
	s.keep(green)
	s.write(green.Plan.ID, "image", "pushed harbor.example.com/shop/api:v20261123-main-3f2a9c41")
	retried := s.keep(life(t, retrying(plan("publish", 6, "+ship: mirror upload announce")),
		"mirror", "upload", "announce", "mirror-", "upload-", "announce+", "upload^", "upload"))
	for attempt := range 2 {
		s.writeTo(logs.Key{Run: retried.Plan.ID, Task: "upload", Attempt: attempt + 1}, "PUT https://mirror.example.com/flour.tar", "502 Bad Gateway")
	}
	s.keep(told(t, life(t, plan("nightly-performance-regression-of-the-whole-shop", 700, "measure: warm-up-the-database-with-last-weeks-orders run"), "warm-up-the-database-with-last-weeks-orders", "!"), ""))
	wide := plan("发布", 1500, "构建: build", "two: a b c", "three: d", "four: e", "five: f", "six: g")
	wide.Event.Message = "发布：修复购物车在空状态下返回错误的问题，并且补充了对应的测试用例与文档说明，同时升级依赖 " + strings.Repeat("很长的说明", 40)
	wide.Event.Ref, wide.Event.Branch = "refs/heads/feature/a-very-long-branch-name-that-nobody-can-read-on-a-phone", "feature/a-very-long-branch-name-that-nobody-can-read-on-a-phone"
	wideRun := s.keep(life(t, wide, "build"))
	bad, _ := run.New(broken(5000))
	s.keep(told(t, bad, ""))
	skip := plan("docs", 6000, "build: site")
	skip.Skip = "not affected: no changed file matches paths \"docs/**\""
	skipped, _ := run.New(skip)
	s.keep(skipped)
	for i := range 40 {
		s.keep(told(t, life(t, plan("build", 10_000+i, "check: unit"), "unit", "unit+"), ""))
	}
	s.deliver(1, "push", nil)
	s.deliver(2, "push", &inbox.Outcome{At: now}, explained("build", `push to main matches branches "main"; api/basket.go matches paths "api/**"`, running.Plan.ID),
		explained("docs", `no changed file matches paths "docs/**" (api/basket.go, api/basket_test.go)`, ""), explained("release", "a push, and this pipeline asks only for tag", ""))
	s.deliver(30, "pull_request", &inbox.Outcome{At: now, Error: "the payload names no head commit: field pull_request.head.sha is missing"})
	s.deliver(31, "star", &inbox.Outcome{At: now, Error: "a star starts nothing", Ignored: true})
	s.fillLane()
	s.fillDeliveries()
	s.bury("devent30", run.Reference{Line: "plan", Delivery: "devent30"}, "the payload names no head commit: field pull_request.head.sha is missing")
	s.bury("devent32", run.Reference{Line: "plan", Delivery: "devent32"}, "given up: read definitions: gitea answers 502 Bad Gateway")
	s.bury("mr-1", run.Reference{Line: "work-local", Run: failed.Plan.ID, Task: "unit", Attempt: 1}, "given up: the cluster cannot be asked: dial tcp 10.0.0.1:6443: i/o timeout")
	s.bury(failed.Plan.ID, run.Reference{Line: "report", Run: failed.Plan.ID}, "gitea answers 403: the token may not write to shop/api")
	s.bury("ggggggggggggggggggga", run.Reference{Line: "report", Run: "ggggggggggggggggggga"}, "gitea answers 404: no such repository")
	return map[string]string{
		"runs": "/", "dead": "/dead", "held": "/runs/" + run.ID("held3", "deploy"), "duplicate": "/deliveries/devent33", "replayed": "/deliveries/devent34",
		"recovered": "/deliveries/devent35", "kindless": "/deliveries/devent36", "running": "/runs/" + running.Plan.ID, "failed": "/runs/" + failed.Plan.ID, "green": "/runs/" + green.Plan.ID,
		"broken": "/runs/" + bad.Plan.ID, "wide": "/runs/" + wideRun.Plan.ID, "retried": "/runs/" + retried.Plan.ID, "skipped": "/runs/" + skipped.Plan.ID,
		"deliveries": "/deliveries", "delivery": "/deliveries/devent2", "unplanned": "/deliveries/devent1", "nonsense": "/deliveries/devent30",
		"missing": "/runs/nothing", "none": "/?state=waiting&repo=shop/web",
	}
}

// fillLane keeps the runs of a lane: one that runs and three that wait.
func (s *site) fillLane() {
	for i, words := range [][]string{{"rollout"}, nil, nil, nil} {
		p := plan("deploy", 12-i, "deploy: rollout smoke")
		p.ID = run.ID(fmt.Sprintf("held%d", i), "deploy")
		p.Lane = &run.LanePlan{Name: "lane", Concurrency: pipeline.Concurrency{Group: "deploy refs/heads/main", Limit: 1, WhenFull: pipeline.Queue, MaxQueue: 20}}
		p.Event.After = strings.Repeat(fmt.Sprintf("%da", i+1), 20)
		s.keep(life(s.t, p, words...))
	}
	p := plan("deploy", 14, "deploy: rollout")
	r := life(s.t, p)
	r, _, err := r.Apply(run.Cancel{By: "lane", Reason: "superseded by run " + run.ID("held0", "deploy"), At: now})
	s.must(err)
	s.keep(r)
}

// fillDeliveries keeps deliveries of each kind.
func (s *site) fillDeliveries() {
	s.deliver(32, "push", &inbox.Outcome{At: now, Error: "given up: read definitions: gitea answers 502 Bad Gateway"})
	first := "d" + strings.Repeat("a", 16)
	s.deliver(33, "push", &inbox.Outcome{At: now, Ignored: true, First: first, Error: "duplicate of delivery " + first + ", which told of the same: it starts nothing again"})
	for minutes, kind := range map[int]string{34: "replay", 35: "recovered"} {
		p := store.Plan{Event: push(minutes), At: now, Explanations: []store.Explained{explained("build", "push to main", run.ID("held0", "deploy"))}}
		p.Event.Recovered = kind == "recovered"
		if kind == "replay" {
			p.Cause = run.Cause{Kind: "replay", ID: "devent2"}
		}
		p.Delivery = p.Event.Delivery
		_, err := s.inbox.Keep(s.t.Context(), triggers.Delivery{ID: p.Delivery, Forge: "gitea", Key: "millrace:" + kind + ":x", Kind: kind, Body: []byte("{}"), At: now.Add(-time.Duration(minutes) * time.Minute)})
		s.must(err)
		s.must(s.inbox.Settle(s.t.Context(), p.Delivery, inbox.Outcome{At: now}))
		s.must(s.store.SavePlan(s.t.Context(), p))
	}
	_, err := s.inbox.Keep(s.t.Context(), triggers.Delivery{
		ID: "devent36", Forge: "gitea", Key: "k36", Kind: "star", Ignored: "a star is nothing that a pipeline can ask for", At: now.Add(-36 * time.Minute),
	})
	s.must(err)
}

// TestLook serves the sample to people: go test ./agent/web -run Look -timeout 0 -look 127.0.0.1:8090. Without -look
// there is nobody to look.
func TestLook(t *testing.T) {
	if *look == "" {
		return
	}
	s := newSite(t)
	paths := s.fill()
	for name, path := range paths {
		fmt.Printf("%s http://%s%s\n", name, *look, path)
	}
	srv := &http.Server{Addr: *look, Handler: s.page, ReadHeaderTimeout: time.Second}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	go func() { <-stop; _ = srv.Close() }()
	go func() {
		_, id, _ := strings.Cut(paths["running"], "/runs/")
		lines := []string{"go test ./..."}
		for range time.Tick(time.Second) { // so that there is something to see live
			lines = append(lines, fmt.Sprintf("ok  \texample.com/shop/api/part%d\t%d.4s", len(lines), len(lines)))
			s.write(id, "race-detector", lines...)
		}
	}()
	if err := srv.ListenAndServe(); err != http.ErrServerClosed {
		t.Fatal(err)
	}
}
