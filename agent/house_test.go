package agent_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/logs/memlogs"
	"github.com/millrace-ci/millrace/agent/mask"
	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/store/memstore"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/queue/memq"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox/meminbox"
)

// house is everything around agents, in memory, so that it can live in a synctest bubble. Several agents may share it.
type house struct {
	log     *slog.Logger // of its agents; nil: nobody reads it
	t       *testing.T
	inbox   *meminbox.Inbox
	store   *memstore.Store
	refs    *memstore.Refs
	logs    *memlogs.Logs
	large   *largeLog // where output goes instead, if not nil
	forge   *fakeForge
	runner  *fakeRunner
	files   definitions
	git     *fakeGit
	hook    string // that tells of what is pushed
	sick    string // id of a run that cannot be loaded
	unsaved int    // so many ends of tasks are lost on their way to the store
	unended int    // so many ends of outputs are lost on their way to the logs
	plan    *memq.Queue[string]
	report  *memq.Queue[string]
	reap    *memq.Queue[string]
	gaps    *memq.Queue[string]
	unnoted atomic.Bool   // nothing that is heard can be noted
	every   time.Duration // between two looks at a repository; 0: gapsEvery, less: none
	poll    time.Duration // of the forge
	repos   []string      // that the forge is configured for
	again   *redeliverer  // what the forge can be asked for, if not nil
	work    *memq.Queue[agent.Attempt]
	made    int
	looks   atomic.Int64 // how often a lane was looked at
	creates atomic.Int64 // how often a run was to be created
	missed  atomic.Int64 // how often it was looked for runs that nobody listed as settled

	keepRuns  time.Duration // after their end; 0: for ever
	runsBytes int64         // that ended runs may hold; 0: any number
	undeleted int           // so many runs are not deleted when they are to be

	buried   map[string]*memq.Queue[agent.Attempt] // lines in which something was given up
	capacity int                                   // of each agent's runner
	as       runners.Runner                        // what agents see of runner; nil: runner itself
	secrets  map[string]agent.Secret               // the operator's
	server   string                                // secret that an agent's tokens are made with; "": token
	known    *mask.Masker                          // what agents know to be secret
}

const lease = 10 * time.Second

// gapsEvery is the time between two looks at a repository.
const gapsEvery = 10 * time.Minute

func newHouse(t *testing.T, files ...string) *house {
	cfg := memq.Config{LeaseTime: lease}
	h := &house{
		t: t, inbox: meminbox.New(), store: memstore.New(), refs: memstore.NewRefs(), git: &fakeGit{}, logs: memlogs.New(), capacity: 4, repos: []string{"mill/*"},
		forge: &fakeForge{}, runner: newFakeRunner(),
		plan: memq.New[string](cfg), report: memq.New[string](cfg), reap: memq.New[string](cfg), gaps: memq.New[string](cfg), work: memq.New[agent.Attempt](cfg),
	}
	for i, text := range files {
		h.files.files = append(h.files.files, triggers.File{Path: fmt.Sprintf(".millrace/%d.yaml", i), Data: []byte(text)})
	}
	return h
}

// agent starts an agent in the house, and returns what ends it: stop, as SIGTERM does, and kill, as nearly as a
// goroutine can be killed.
func (h *house) agent() (a *agent.Agent, stop, kill func()) {
	h.t.Helper()
	a = h.idle()
	intake, stopIntake := context.WithCancel(context.Background())
	work, stopWork := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := a.Run(intake, work); err != nil {
			h.t.Errorf("agent ended with %v", err)
		}
	}()
	stop = func() { stopIntake(); <-ended; stopWork() }
	kill = func() { stopWork(); stopIntake(); <-ended }
	return a, stop, kill
}

// idle makes an agent that does not run yet.
func (h *house) idle() *agent.Agent {
	h.t.Helper()
	h.made++
	runner := h.as
	if runner == nil {
		runner = h.runner
	}
	var source triggers.Source = h.forge
	if h.again != nil {
		source = h.again
	}
	server := cmp.Or(h.server, "token")
	a, err := agent.New(agent.Config{
		Name: fmt.Sprintf("agent-%d", h.made), URL: "http://millrace.test", Roles: agent.Roles{Plan: true, Work: true, Report: true},
		Forges:  map[string]agent.Forge{"gitea": {Source: source, Access: h.forge, Status: h.forge, Repositories: h.repos, Poll: h.poll}},
		Runners: map[string]agent.Runner{"local": {Kind: "local", Line: "local", Capacity: h.capacity, Runner: runner}}, DefaultRunner: "local",
		Catalogue: template.Builtin(template.Platform{}), Definitions: &h.files, Heads: h.git,
		Secrets: h.secrets, Known: h.known, Token: func(run, task string, attempt int) string {
			return fmt.Sprintf("%s-of-%s-%s-%d", server, run, task, attempt)
		},
		Queues: agent.Queues{Plan: h.plan, Report: h.report, Reap: h.reap, Gaps: h.gaps, Work: h.line, Buried: func(context.Context) ([]string, error) {
			return slices.Collect(maps.Keys(h.buried)), nil
		}},
		Inbox: h.inbox, Runs: &sickStore{h.store, h}, Plans: h.store, Refs: &sickRefs{h.refs, h}, Logs: &sickLogs{h.logs, h}, LeaseTime: lease, KeepFor: 24 * time.Hour, KeepBytes: 1 << 20, KeepRuns: h.keepRuns, RunsBytes: h.runsBytes, GapsEvery: max(cmp.Or(h.every, gapsEvery), 0),
		Now: time.Now, Metrics: metrics.NewAgent(prometheus.NewRegistry()), Log: cmp.Or(h.log, slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

// line is where a runner's attempts wait.
func (h *house) line(name string) queue.Queue[agent.Attempt] {
	if q := h.buried[name]; q != nil {
		return q
	}
	return h.work
}

// sickStore cannot load one run, and, as a store that is asked over a network, nothing once ctx has ended.
type sickStore struct {
	*memstore.Store
	h *house
}

func (s *sickStore) Load(ctx context.Context, id string) (run.Run, error) {
	if err := ctx.Err(); err != nil {
		return run.Run{}, err
	}
	if id == s.h.sick {
		return run.Run{}, fmt.Errorf("%w: written by a newer version", store.ErrUnreadable)
	}
	return s.Store.Load(ctx, id)
}

func (s *sickStore) Save(ctx context.Context, r, next run.Run) (run.Run, bool, error) {
	for i := range next.Tasks {
		if next.Tasks[i].State.Final() && !r.Tasks[i].State.Final() && s.h.unsaved > 0 {
			s.h.unsaved--
			return run.Run{}, false, errWeather
		}
	}
	return s.Store.Save(ctx, r, next)
}

func (s *sickStore) Create(ctx context.Context, r run.Run) (run.Run, error) {
	s.h.creates.Add(1)
	return s.Store.Create(ctx, r)
}

func (s *sickStore) Lane(ctx context.Context, name string) (run.Lane, error) {
	s.h.looks.Add(1)
	lane, err := s.Store.Lane(ctx, name)
	for i, r := range lane {
		if r.Plan.ID == s.h.sick {
			lane[i] = run.Unread(r.Plan.ID, r.Plan.CreatedAt, "written by a newer version")
		}
	}
	return lane, err
}

func (s *sickStore) Missed(ctx context.Context, cursor string, limit int) (string, error) {
	s.h.missed.Add(1)
	return s.Store.Missed(ctx, cursor, limit)
}

func (s *sickStore) Delete(ctx context.Context, r run.Run) error {
	if s.h.undeleted > 0 {
		s.h.undeleted--
		return errWeather
	}
	return s.Store.Delete(ctx, r)
}

// sickRefs can note nothing at times.
type sickRefs struct {
	*memstore.Refs
	h *house
}

func (s *sickRefs) Note(ctx context.Context, heard store.Heard) (store.Noted, error) {
	if s.h.unnoted.Load() {
		return store.Noted{}, errWeather
	}
	return s.Refs.Note(ctx, heard)
}

// sickLogs loses the end of an output.
type sickLogs struct {
	*memlogs.Logs
	h *house
}

func (s *sickLogs) Append(ctx context.Context, k logs.Key, offset int64, data []byte) error {
	if s.h.large != nil && k.Kind == logs.Output {
		return s.h.large.append(offset, data)
	}
	return s.Logs.Append(ctx, k, offset, data)
}

func (s *sickLogs) Last(ctx context.Context, k logs.Key) (int64, string, error) {
	if s.h.large != nil && k.Kind == logs.Output {
		return s.h.large.size, "", nil
	}
	return s.Logs.Last(ctx, k)
}

func (s *sickLogs) End(ctx context.Context, k logs.Key) error {
	if k.Kind == logs.Output && s.h.unended > 0 {
		s.h.unended--
		return errWeather
	}
	return s.Logs.End(ctx, k)
}

// push keeps the delivery of an event, and puts it in line as the door does.
func (h *house) push(a *agent.Agent, e triggers.Event) string {
	h.t.Helper()
	body, err := json.Marshal(e)
	if err != nil {
		h.t.Fatal(err)
	}
	if e.Request == nil {
		h.git.set(e.Ref, e.After)
	}
	key := e.ID
	d := triggers.Delivery{ID: triggers.DeliveryID("gitea", key), Forge: "gitea", Key: key, Kind: string(e.Kind), Hook: h.hook, Body: body, At: time.Now().UTC()}
	receipt, err := h.inbox.Keep(h.t.Context(), d)
	if err != nil {
		h.t.Fatal(err)
	}
	if a != nil {
		if err := a.PushDeliveries(h.t.Context(), receipt.ID); err != nil {
			h.t.Fatal(err)
		}
	}
	return receipt.ID
}

// after lets time pass until everything has come to rest.
func (h *house) after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// runs returns all runs, oldest first.
func (h *house) runs() []run.Run {
	h.t.Helper()
	runs, _, err := h.store.List(h.t.Context(), store.Filter{}, "", 100)
	if err != nil {
		h.t.Fatal(err)
	}
	slices.Reverse(runs)
	return runs
}

// theRun returns the only run.
func (h *house) theRun() run.Run {
	h.t.Helper()
	runs := h.runs()
	if len(runs) != 1 {
		h.t.Fatalf("got %d runs, want 1", len(runs))
	}
	return runs[0]
}

func pushTo(branch string) triggers.Event {
	return triggers.Event{
		ID: "push-" + branch, Kind: triggers.Push, Repo: triggers.Repository{ID: "1", Name: "mill/flour"},
		Ref: "refs/heads/" + branch, Branch: branch, After: "0123456789012345678901234567890123456789", Message: "Grind finer", Sender: "ada",
	}
}

type definitions struct {
	files []triggers.File
	bad   []triggers.Unreadable
	err   error
	slow  bool // answers only when it is no longer asked
}

func (d *definitions) Definitions(ctx context.Context, _ triggers.Access, _ triggers.At) ([]triggers.File, []triggers.Unreadable, error) {
	if d.slow {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}
	return d.files, d.bad, d.err
}

// fakeGit has the refs of each repository, by the address that it is fetched from.
type fakeGit struct {
	mu    sync.Mutex
	refs  map[string]map[string]string
	err   error
	looks int
}

func (g *fakeGit) Refs(_ context.Context, from triggers.Access) (map[string]string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.looks++
	return maps.Clone(g.refs[from.URL]), g.err
}

// set moves a ref of mill/flour, or deletes it.
func (g *fakeGit) set(ref, commit string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refs == nil {
		g.refs = map[string]map[string]string{flour: {}}
	}
	if g.refs[flour][ref] = commit; commit == "" {
		delete(g.refs[flour], ref)
	}
}

func (g *fakeGit) fails(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}

// flour is where mill/flour is fetched from.
const flour = "https://gitea.test/mill/flour"

// fakeForge reads events that were written as JSON, and remembers what it was told.
type fakeForge struct {
	mu      sync.Mutex
	notices []report.Notice
	fail    []error                           // for the next tries
	hold    chan struct{}                     // the next notice is heard only when this is closed
	held    string                            // context of the notice that is held; "": any
	slow    func(report.Notice) time.Duration // how long a notice is on its way, if not nil
}

func (f *fakeForge) Verify(http.Header, string, []byte) (triggers.Scope, error) {
	return triggers.Scope{}, nil
}

func (f *fakeForge) Heading(http.Header) (triggers.Heading, error) { return triggers.Heading{}, nil }

func (f *fakeForge) Parse(d triggers.Delivery) (triggers.Event, error) {
	var e triggers.Event
	if err := json.Unmarshal(d.Body, &e); err != nil {
		return e, fmt.Errorf("%w: %w", triggers.ErrPayload, err)
	}
	e.ID, e.Delivery, e.Forge = d.ID, d.ID, d.Forge
	return e, nil
}

func (f *fakeForge) Access(r triggers.Repository) (triggers.Access, error) {
	return triggers.Access{URL: "https://gitea.test/" + r.Name}, nil
}

func (f *fakeForge) Notify(_ context.Context, n report.Notice) (report.Answer, error) {
	f.mu.Lock()
	hold, slow := f.hold, f.slow
	if f.held != "" && f.held != n.Context {
		hold = nil
	}
	if hold != nil {
		f.hold = nil
	}
	f.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if slow != nil {
		<-time.After(slow(n))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.fail) > 0 {
		err := f.fail[0]
		f.fail = f.fail[1:]
		return report.AnswerOf(err), err
	}
	f.notices = append(f.notices, n)
	return report.Answer{Status: http.StatusCreated}, nil
}

// told lists the states that the forge was told, in order.
func (f *fakeForge) told() []report.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	var states []report.State
	for _, n := range f.notices {
		states = append(states, n.State)
	}
	return states
}

// shown is what the forge shows: the last state of each context.
func (f *fakeForge) shown() map[string]report.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string]report.State{}
	for _, n := range f.notices {
		all[n.Context] = n.State
	}
	return all
}

// fakeRunner runs jobs as goroutines: a job's command chooses what it does. It keeps jobs by id as the contract says.
type fakeRunner struct {
	mu      sync.Mutex
	jobs    map[string]*fakeJob
	stopped map[string]bool
	started map[string]int // side effects, by task
	gates   map[string]chan runners.Result
}

type fakeJob struct {
	uid string
	log []byte
	end chan struct{}
	res runners.Result
}

func newFakeRunner() *fakeRunner {
	return &fakeRunner{jobs: map[string]*fakeJob{}, stopped: map[string]bool{}, started: map[string]int{}, gates: map[string]chan runners.Result{}}
}

// gate makes the task wait until a result is sent.
func (f *fakeRunner) gate(task string) chan<- runners.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gates[task] = make(chan runners.Result, 1)
	return f.gates[task]
}

// open lets those that start from now on end at once.
func (f *fakeRunner) open(task string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.gates, task)
}

func (f *fakeRunner) Start(_ context.Context, job runners.Job) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped[job.ID] {
		return "", runners.ErrStopped
	}
	if j := f.jobs[job.ID]; j != nil {
		return j.uid, nil
	}
	j := &fakeJob{uid: fmt.Sprintf("uid-%d", len(f.jobs)), end: make(chan struct{})}
	f.jobs[job.ID] = j
	f.started[job.Task]++
	j.log = fmt.Appendf(nil, "env %v\n", slices.Sorted(maps.Keys(job.Env)))
	j.res = runners.Result{Class: runners.Succeeded, Outputs: map[string]string{"FLOUR": "of " + job.Task}}
	gate := f.gates[job.Task]
	if gate == nil {
		close(j.end)
		return j.uid, nil
	}
	go func() {
		select {
		case res := <-gate:
			f.end(j, res)
		case <-j.end:
		}
	}()
	return j.uid, nil
}

func (f *fakeRunner) end(j *fakeJob, res runners.Result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-j.end:
	default:
		j.res = res
		close(j.end)
	}
}

func (f *fakeRunner) Wait(ctx context.Context, id, uid string, log runners.Log) (runners.Result, error) {
	f.mu.Lock()
	j := f.jobs[id]
	f.mu.Unlock()
	if j == nil || j.uid != uid {
		return runners.Result{Class: runners.Lost, ExitCode: -1}, nil
	}
	if _, err := log.Write(j.log); err != nil {
		return runners.Result{}, err
	}
	select {
	case <-j.end:
		f.mu.Lock()
		defer f.mu.Unlock()
		return j.res, nil
	case <-ctx.Done():
		return runners.Result{}, ctx.Err()
	}
}

func (f *fakeRunner) Stop(_ context.Context, id string) error {
	f.mu.Lock()
	j := f.jobs[id]
	f.stopped[id] = true
	f.mu.Unlock()
	if j != nil {
		f.end(j, runners.Result{Class: runners.Canceled, ExitCode: -1, Reason: "stopped"})
	}
	return nil
}

// say makes the task's job print text.
func (f *fakeRunner) say(job, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.jobs[job].log = append(f.jobs[job].log, text...)
}

// effects is how often a task's side effect happened.
func (f *fakeRunner) effects(task string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.started[task]
}

var errWeather = errors.New("502 bad gateway")
