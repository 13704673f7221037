package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/queue"
)

const (
	reportSlots = 16              // notices on their way at once
	tellFor     = 24 * time.Hour  // how long a last state is tried to be told
	longestWait = 5 * time.Minute // that a forge may ask for between two tries
)

func (a *Agent) reporting() *loop[string] {
	return &loop[string]{
		name: "reporter", queue: a.cfg.Queues.Report, worker: a.cfg.Name, slots: reportSlots,
		lease: a.cfg.LeaseTime, handle: a.tell, done: a.tellAgain, log: a.cfg.Log,
	}
}

// tell tells the forge the run's state until it is the one that was told last, so that the newest always wins and
// states that are over before they were told are left out.
func (a *Agent) tell(intake, ctx context.Context, l queue.Lease[string]) error {
	r, err := a.cfg.Runs.Load(ctx, l.Item.Value)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load run: %w", err)
	}
	for r.Untold() {
		told, err := a.tellOnce(intake, ctx, r)
		if err != nil {
			return err
		}
		if r, err = a.apply(ctx, r, told); err != nil {
			return fmt.Errorf("save telling: %w", err)
		}
	}
	return nil
}

// tellAgain looks once more after the item was acknowledged: a state that came between the last look and the
// acknowledgement found the run in line still.
func (a *Agent) tellAgain(ctx context.Context, id string) {
	if r, err := a.cfg.Runs.Load(ctx, id); err == nil && r.Untold() {
		a.perform(ctx, r, r.Outstanding())
	}
}

// tellOnce hands one notice to the forge and returns the fact of it. Its error means that the try is to be repeated.
func (a *Agent) tellOnce(intake, ctx context.Context, r run.Run) (run.Told, error) {
	told := run.Told{To: run.StatusListener, State: r.Telling()}
	err := a.notify(ctx, a.notice(r))
	told.At = a.now()
	switch {
	case err == nil:
		a.cfg.Metrics.NoticeTold("told")
		a.cfg.Log.InfoContext(ctx, "status told", "run", r.Plan.ID, "state", told.State, "forge", r.Plan.Event.Forge)
		return told, nil
	case report.IsPermanent(err), a.now().Sub(r.Changed()) > tellFor:
		a.cfg.Metrics.NoticeTold("given_up")
		a.cfg.Log.ErrorContext(ctx, "status given up", "run", r.Plan.ID, "state", told.State, "err", err)
		told.Error = err.Error()
		return told, nil
	}
	a.cfg.Metrics.NoticeTold("retried")
	wait(intake, min(report.Wait(err), longestWait))
	return told, fmt.Errorf("tell status: %w", err)
}

func (a *Agent) notify(ctx context.Context, n report.Notice) error {
	forge, ok := a.cfg.Forges[n.Forge]
	if !ok {
		return report.Permanent(fmt.Errorf("forge %q is not configured any more", n.Forge))
	}
	return forge.Status.Notify(ctx, n)
}

// notice makes of a run what is told of it.
func (a *Agent) notice(r run.Run) report.Notice {
	state := report.State(r.Telling())
	e := r.Plan.Event
	return report.Notice{
		ID: fmt.Sprintf("%s/%s/%s", r.Plan.ID, run.StatusListener, state), Run: r.Plan.ID,
		Forge: e.Forge, Repo: e.Repo.Name, Commit: e.After, Ref: e.Ref,
		Pipeline: r.Plan.Pipeline, Context: "millrace/" + r.Plan.Pipeline,
		State: state, Text: r.Line(), URL: a.cfg.URL + "/runs/" + r.Plan.ID, At: a.now(),
	}
}
