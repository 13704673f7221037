package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// planSlots is how many deliveries one process plans at once: it waits for git servers most of its time.
const planSlots = 8

func (a *Agent) planning() *loop[string] {
	return &loop[string]{
		name: "planner", queue: a.cfg.Queues.Plan, worker: a.cfg.Name, slots: planSlots,
		lease: a.cfg.LeaseTime, handle: a.plan, tries: giveUpAfter, giveUp: a.giveUpPlanning, log: a.cfg.Log,
	}
}

// plan makes runs of one delivery. Whatever ends it half-way, doing it again does the rest: run ids follow from the
// event, the plan is written over, and the delivery stays unplanned until the end. So it stops at once with intake.
func (a *Agent) plan(intake, work context.Context, l queue.Lease[string]) error {
	ctx, stop := context.WithCancel(work)
	defer stop()
	defer context.AfterFunc(intake, stop)()
	err := a.planDelivery(ctx, l.Item.Value, l.Tries)
	if err != nil && intake.Err() != nil {
		return errHandBack
	}
	return err
}

func (a *Agent) planDelivery(ctx context.Context, id string, tries int) error {
	rec, err := a.cfg.Inbox.Get(ctx, id)
	switch {
	case errors.Is(err, inbox.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("get delivery: %w", err)
	case rec.Planned != nil && rec.Planned.Error != "" && !rec.Planned.Ignored:
		return hopeless{rec.Planned.Error} // whoever refused it died before it was buried
	case rec.Planned != nil:
		return nil
	}
	event, cause, err := a.parse(rec.Delivery)
	if errors.Is(err, triggers.ErrIgnored) {
		return a.settle(ctx, rec.ID, "ignored", inbox.Outcome{Ignored: true, Error: err.Error()})
	}
	if err != nil {
		return a.refuse(ctx, rec.ID, err)
	}
	return a.planEvent(ctx, rec, event, cause, tries)
}

// planEvent makes runs of an event that a delivery tells.
func (a *Agent) planEvent(ctx context.Context, rec inbox.Record, event triggers.Event, cause run.Cause, tries int) error {
	noted, err := a.note(ctx, rec.Delivery, event, cause)
	if err != nil {
		return err
	}
	if noted.First != "" {
		return a.duplicate(ctx, event, noted.First)
	}
	b := &beside{open: noted.Open, heard: rec.At, now: a.now(), tries: tries, own: map[string]string{}}
	p, runs, err := a.decide(ctx, event, cause, b)
	if errors.Is(err, triggers.ErrPermanent) {
		return a.refuse(ctx, rec.ID, err)
	}
	if err != nil {
		a.cfg.Metrics.EventPlanned("failed")
		return err
	}
	if b.waits {
		return a.waitBeside(ctx, p, runs)
	}
	if event.Kind == triggers.Deletion && cause.Kind == causeDelivery {
		if p.Explanations, err = a.deleted(ctx, event, p.Explanations); err != nil {
			return err
		}
	}
	if err := a.start(ctx, p, runs); err != nil {
		return err
	}
	if err := a.unask(ctx, event, b.silent); err != nil {
		return err
	}
	return a.settle(ctx, rec.ID, "planned", inbox.Outcome{})
}

// start saves the runs that came of an event, and then what was made of it.
func (a *Agent) start(ctx context.Context, p store.Plan, runs []*run.Snapshot) error {
	for _, r := range runs {
		if err := a.Create(ctx, r); err != nil {
			return err
		}
	}
	if err := a.cfg.Plans.SavePlan(ctx, p); err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	return nil
}

// refuse notes on the delivery that it cannot be planned, and why. It is buried, so that it can be tried again by hand
// when what was wrong is mended: a token, a release of ours that understands it.
func (a *Agent) refuse(ctx context.Context, id string, err error) error {
	why := a.hide(err.Error())
	if err := a.settle(ctx, id, "invalid", inbox.Outcome{Error: why}); err != nil {
		return err
	}
	return hopeless{why}
}

// giveUpPlanning puts the error on the delivery, where the page shows it.
func (a *Agent) giveUpPlanning(ctx context.Context, id string, err error) (why string, failed error) {
	why = "given up: " + a.hide(err.Error())
	return why, a.settle(ctx, id, "invalid", inbox.Outcome{Error: why})
}

// parse turns a delivery into an event and what its runs come from, and refuses a repository that no configured forge
// names.
func (a *Agent) parse(d triggers.Delivery) (e triggers.Event, cause run.Cause, err error) {
	forge, ok := a.cfg.Forges[d.Forge]
	if !ok {
		return e, cause, fmt.Errorf("forge %q is not configured any more: %w", d.Forge, triggers.ErrIgnored)
	}
	if isOwn(d) {
		e, cause, err = readOwn(d)
	} else {
		cause = run.Cause{Kind: causeDelivery, ID: d.ID}
		e, err = forge.Source.Parse(d)
	}
	if err != nil {
		return e, cause, err
	}
	if !among(e.Repo.Name, forge.Repositories) {
		return e, cause, fmt.Errorf("repository %s is not among those that forge %s is configured for: %w", e.Repo.Name, d.Forge, triggers.ErrIgnored)
	}
	if e.Time.IsZero() {
		e.Time = d.At
	}
	return e, cause, nil
}

// among tells whether a repository is one of those that globs name; no globs name all.
func among(repo string, globs []string) bool {
	return len(globs) == 0 || slices.ContainsFunc(globs, func(g string) bool {
		ok, err := doublestar.Match(g, repo)
		return err == nil && ok
	})
}

// Create saves one new run and carries out its effects. A run that exists was planned before: then it may have moved
// on, and what it still wants is the reaper's business.
func (a *Agent) Create(ctx context.Context, plan *run.Snapshot) error {
	r, _ := run.New(plan)
	r, err := a.cfg.Runs.Create(ctx, r)
	if errors.Is(err, store.ErrExists) {
		return a.goneMeanwhile(ctx, plan) // whoever created it may have died before it looked
	}
	if err != nil {
		return fmt.Errorf("create run: %w", err)
	}
	a.cfg.Log.InfoContext(ctx, "run created", "run", plan.ID, "pipeline", plan.Pipeline, "repo", plan.Event.Repo.Name, "state", r.State)
	a.performed(ctx, r, r.Outstanding())
	return a.goneMeanwhile(ctx, plan)
}

// settle notes what became of a delivery, now. outcome is the word for it in numbers and in the log.
func (a *Agent) settle(ctx context.Context, id, outcome string, o inbox.Outcome) error {
	o.At = a.now()
	if err := a.cfg.Inbox.Settle(ctx, id, o); err != nil {
		return fmt.Errorf("settle delivery: %w", err)
	}
	a.cfg.Metrics.EventPlanned(outcome)
	a.cfg.Log.InfoContext(ctx, "delivery planned", "delivery", id, "outcome", outcome, "reason", o.Error)
	return nil
}
