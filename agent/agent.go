// Package agent is the room that decides. Its loops stand in flow order: the planner makes runs of deliveries, the
// worker brings their attempts to a runner, the reporter tells the forge, and the reaper carries out whatever a crash
// left undone. cmd makes an Agent of the parts that it chose; the agent calls them through their contracts and knows
// no implementation. What may happen to a run is package run's to say, not this one's.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/mask"
	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// Attempt is a work item: a reference to one attempt of a task. What to do with it, its run's state says.
type Attempt struct {
	Run     string `json:"run"`
	Task    string `json:"task"`
	Attempt int    `json:"attempt"`
}

// Access says how a repository is fetched, from the forge's configured address and never from a payload's.
type Access interface {
	Access(repo triggers.Repository) (triggers.Access, error)
}

// Definitions reads the pipeline files of a repository at a commit; a file that cannot be given does not stop the
// others. An error is weather unless it wraps triggers.ErrPermanent.
type Definitions interface {
	Definitions(ctx context.Context, from triggers.Access, at triggers.At) ([]triggers.File, []triggers.Unreadable, error)
}

// Forge is what the agent needs of one configured forge.
type Forge struct {
	Source       triggers.Source
	Access       Access
	Status       report.Notifier
	SSH          string        // ssh://USER@HOST[:PORT], where repositories are cloned with a key; "": git@ the host of Access
	Repositories []string      // globs over owner/name of those it acts on; none: all
	Poll         time.Duration // how often its repositories are looked at for pushes that it cannot tell; 0: it tells
}

// Runner is one configured runner.
type Runner struct {
	Kind     string // local, kube: what templates say they run on
	Line     string // name of the queue that holds its attempts
	Capacity int    // how many attempts this process holds at once; 0: this process does not work for it
	Runner   runners.Runner
}

// Secret is one of the operator's: where it is kept and who may use it.
type Secret struct {
	From   runners.Keeper
	Policy run.SecretPolicy
}

// Queues are the lines that the agent stands at.
type Queues struct {
	Plan   queue.Queue[string]                    // ids of deliveries
	Report queue.Queue[string]                    // ids of runs
	Reap   queue.Queue[string]                    // one item: whoever holds it is the reaper
	Gaps   queue.Queue[string]                    // one item: whoever holds it looks for missed pushes
	Work   func(line string) queue.Queue[Attempt] // a runner's attempts

	Buried func(context.Context) ([]string, error) // lines of Work in which something was given up, by whomever; nil: those of Runners
}

// Roles says which loops this process runs.
type Roles struct {
	Plan, Work, Report bool
}

// Config is what an Agent is made of.
type Config struct {
	Name          string // of this process, never used by another, also not by its successor
	URL           string // of the page, without a slash at the end
	Roles         Roles
	Forges        map[string]Forge
	Runners       map[string]Runner
	DefaultRunner string
	Catalogue     template.Catalogue
	Definitions   Definitions
	Heads         Heads
	Secrets       map[string]Secret
	Known         *mask.Masker                               // hides what this process knows to be secret in errors that are kept; nil: nothing
	Token         func(run, task string, attempt int) string // by which a task proves who it is; nil: tasks have none

	Queues Queues
	Inbox  inbox.Inbox
	Runs   store.Runs
	Plans  store.Plans
	Refs   store.Refs // nil: pushes have no second key, and none is looked for
	Logs   logs.Logs

	LeaseTime time.Duration // of the queues; leases are renewed three times in it, and the reaper goes round once
	GapsEvery time.Duration // between two looks at a repository for pushes that no delivery told; 0: only those of a forge that is polled
	KeepFor   time.Duration // how long planned deliveries are kept
	KeepBytes int64         // how many bytes of them at most
	KeepRuns  time.Duration // how long runs are kept after their end; 0: for ever
	RunsBytes int64         // how many bytes those hold at most that have ended, with their logs; 0: any number
	StopGrace time.Duration // between asking a task to end and ending it
	Now       func() time.Time
	Metrics   *metrics.Agent
	Log       *slog.Logger
}

// Validate reports all that is missing at once.
func (c Config) Validate() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New("agent: no "+what))
		}
	}
	need(c.Name != "", "name")
	need(c.Definitions != nil, "reader of definitions")
	need(c.Refs == nil || c.Heads != nil && c.Queues.Gaps != nil && c.GapsEvery >= 0, "reader of refs, line for gaps, or time between two looks")
	need(c.Inbox != nil && c.Runs != nil && c.Plans != nil && c.Logs != nil, "inbox, store or logs")
	need(c.Queues.Plan != nil && c.Queues.Report != nil && c.Queues.Reap != nil && c.Queues.Work != nil, "queue")
	need(c.LeaseTime > 0, "lease time")
	need(c.Now != nil && c.Log != nil && c.Metrics != nil, "clock, log or metrics")
	return errors.Join(errs...)
}

// Agent runs the loops. Make one with New.
type Agent struct {
	cfg     Config
	watcher *watcher
	trimmed time.Time // when this process forgot what is old last
}

// New makes an agent, which does nothing until Run.
func New(cfg Config) (*Agent, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Agent{cfg: cfg, watcher: newWatcher()}, nil
}

// Run runs the loops of the agent's roles until intake ends and what is held is finished or handed back. When intake
// ends nothing new is leased, and jobs are left to whoever leases them next; when work ends what is still being done
// is dropped, to be done again.
func (a *Agent) Run(intake, work context.Context) error {
	g, intake := errgroup.WithContext(intake)
	if a.cfg.Roles.Plan {
		g.Go(func() error { return a.planning().run(intake, work) })
		g.Go(func() error { return a.keepInLine(intake, a.cfg.Queues.Reap, reapItem) })
		g.Go(func() error { return a.reaping().run(intake, work) })
		if a.cfg.Refs != nil {
			g.Go(func() error { return a.keepLooking(intake) })
			g.Go(func() error { return a.looking().run(intake, work) })
		}
	}
	if a.cfg.Roles.Work {
		g.Go(func() error { return a.watcher.run(intake, a.cfg.Runs, a.cfg.Log) })
		g.Go(func() error { return a.sweep(intake) })
		for name, r := range a.cfg.Runners {
			if r.Capacity > 0 {
				g.Go(func() error { return a.working(name, r).run(intake, work) })
			}
		}
	}
	if a.cfg.Roles.Report {
		g.Go(func() error { return a.tellAll(intake, work) })
	}
	return g.Wait()
}

// perform carries out effects: most put a reference in line, all references for one line in one round trip; a lane is
// looked at here and now. What fails is left to the reaper.
func (a *Agent) perform(ctx context.Context, r run.Run, effects []run.Effect) {
	work := map[string][]queue.Item[Attempt]{}
	tell, lane := false, ""
	for _, e := range effects {
		switch e := e.(type) {
		case run.Enqueue:
			work[e.Line] = append(work[e.Line], a.item(r, e.Task, e.Attempt))
		case run.Stop:
			work[e.Line] = append(work[e.Line], a.item(r, e.Task, e.Attempt))
		case run.Tell:
			tell = true
		case run.Admit:
			lane = e.Lane
		}
	}
	var errs []error
	for line, items := range work {
		errs = append(errs, a.cfg.Queues.Work(line).Push(ctx, items...))
	}
	if tell {
		errs = append(errs, a.cfg.Queues.Report.Push(ctx, queue.Item[string]{ID: r.Plan.ID, Value: r.Plan.ID}))
	}
	if lane != "" {
		errs = append(errs, a.admit(ctx, lane))
	}
	if err := errors.Join(errs...); err != nil {
		a.cfg.Log.WarnContext(ctx, "effects not carried out, the reaper will", "run", r.Plan.ID, "err", err)
	}
}

func (a *Agent) item(r run.Run, task string, attempt int) queue.Item[Attempt] {
	v := Attempt{Run: r.Plan.ID, Task: task, Attempt: attempt}
	return queue.Item[Attempt]{ID: runners.JobID(v.Run, v.Attempt, v.Task), Value: v}
}

// apply tells a fact to the run, saves what follows and carries out its effects.
func (a *Agent) apply(ctx context.Context, r run.Run, f run.Fact) (run.Run, error) {
	return a.applyTo(ctx, r, func(run.Run) run.Fact { return f })
}

func (a *Agent) applyTo(ctx context.Context, r run.Run, f func(run.Run) run.Fact) (run.Run, error) {
	next, effects, err := store.ApplyTo(ctx, a.cfg.Runs, r, f)
	if err != nil {
		return next, err
	}
	a.performed(ctx, next, effects)
	return next, nil
}

// performed carries out the effects of a run that was just saved, and notes its end. Exactly one saving brings a run
// to a final state, and it wants that told; what it wants told once more has a record of it.
func (a *Agent) performed(ctx context.Context, r run.Run, effects []run.Effect) {
	a.perform(ctx, r, effects)
	for _, e := range effects {
		if e, ok := e.(run.Enqueue); ok {
			a.cfg.Log.InfoContext(ctx, "attempt queued", "run", r.Plan.ID, "task", e.Task, "attempt", e.Attempt)
		}
	}
	end := run.Tell{To: run.StatusListener, State: r.Telling()}
	if r.State.Final() && slices.Contains(effects, run.Effect(end)) && !r.Recorded(end) {
		a.cfg.Metrics.RunEnded(string(r.State))
		a.cfg.Log.InfoContext(ctx, "run ended", "run", r.Plan.ID, "state", r.State, "reason", r.Reason)
	}
}
