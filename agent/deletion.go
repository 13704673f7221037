package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// deleted cancels the live runs of a ref that is gone which ask for it, as their own snapshots say, and explains what it
// did; else the explanation stays as it is. It ends nothing that was pushed after the deletion: neither what happened later, nor what was heard of last, where
// that is not the deletion itself.
//
// A push and the deletion of its ref may be planned at the same time. The deletion is noted before runs are looked for
// here, and a push's runs are created before goneMeanwhile looks for the deletion: whoever is later sees the other.
func (a *Agent) deleted(ctx context.Context, e triggers.Event, otherwise []store.Explained) ([]store.Explained, error) {
	latest, err := a.latest(ctx, e)
	if err != nil {
		return nil, err
	}
	var done []store.Explained
	for _, state := range []run.State{run.Waiting, run.Running} {
		f := store.Filter{Repo: e.Repo.Name, Branch: e.Branch, State: state}
		for cursor, more := "", true; more; more = cursor != "" {
			runs, next, err := a.cfg.Runs.List(ctx, f, cursor, batch)
			if err != nil {
				return nil, fmt.Errorf("find runs of %s: %w", e.Ref, err)
			}
			for _, r := range runs {
				if !endedBy(e, r.Plan) || r.Plan.Event.Delivery == latest.Delivery {
					continue
				}
				if err := a.cancelDeleted(ctx, r, e.Ref); err != nil {
					return nil, err
				}
				reason := fmt.Sprintf("a deletion: run %s was canceled, as its `when_deleted` asks for", r.Plan.ID)
				x := pipeline.Explanation{Pipeline: r.Plan.Pipeline, File: r.Plan.File, Matched: true, Reason: reason}
				done = append(done, store.Explained{Explanation: x, Run: r.Plan.ID})
			}
			cursor = next
		}
	}
	if len(done) == 0 {
		return otherwise, nil
	}
	return done, nil
}

// goneMeanwhile cancels the run of a push whose ref was deleted since, if it asks for it: the push was heard of late, or
// planned while the deletion was.
func (a *Agent) goneMeanwhile(ctx context.Context, plan *run.Snapshot) error {
	if plan.Cause.Kind != causeDelivery || !endsWithRef(plan) {
		return nil
	}
	latest, err := a.latest(ctx, plan.Event)
	if err != nil || latest.After != "" || latest.Delivery == "" {
		return err
	}
	rec, err := a.cfg.Inbox.Get(ctx, latest.Delivery)
	if errors.Is(err, inbox.ErrNotFound) {
		return nil // so long ago that nobody knows what came first
	}
	if err != nil {
		return fmt.Errorf("get deletion: %w", err)
	}
	if gone, _, err := a.parse(rec.Delivery); err != nil || plan.Event.Time.After(gone.Time) {
		return nil //nolint:nilerr // what is not understood any more deletes nothing
	}
	r, err := a.cfg.Runs.Load(ctx, plan.ID)
	if err != nil {
		return fmt.Errorf("load run: %w", err)
	}
	return a.cancelDeleted(ctx, r, plan.Event.Ref)
}

// endedBy tells whether a deletion ends a run.
func endedBy(e triggers.Event, plan *run.Snapshot) bool {
	was := plan.Event
	return endsWithRef(plan) && was.Forge == e.Forge && was.Ref == e.Ref && !was.Time.After(e.Time)
}

// endsWithRef tells whether a run is to be canceled when its branch or tag is deleted.
func endsWithRef(plan *run.Snapshot) bool {
	return plan.Lane != nil && plan.Lane.WhenDeleted == pipeline.CancelRunning && plan.Event.Kind != triggers.PullRequest
}

func (a *Agent) latest(ctx context.Context, e triggers.Event) (store.Sight, error) {
	if a.cfg.Refs == nil {
		return store.Sight{}, nil
	}
	return a.cfg.Refs.Latest(ctx, e.Forge, e.Repo.Name, e.Ref)
}

func (a *Agent) cancelDeleted(ctx context.Context, r run.Run, ref string) error {
	if r.Ending != nil || r.State.Final() {
		return nil
	}
	_, err := a.apply(ctx, r, run.Cancel{By: "deletion", Reason: ref + " was deleted", At: a.now()})
	if err != nil {
		return fmt.Errorf("cancel run %s of %s: %w", r.Plan.ID, ref, err)
	}
	return nil
}
