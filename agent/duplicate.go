package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// What a run may come from, see run.Cause.
const (
	causeDelivery = "delivery"
	causeReplay   = "replay"
)

// lookSoon is how long after a push its repository is looked at for others that nobody told.
const lookSoon = time.Minute

// note notes a push, a tag or a deletion as the latest of its ref, and tells of which delivery it is a duplicate: a
// repository with two hooks tells of each push twice, under two keys. All other kinds of events may well be equal
// and meant, and so may a replay. Of a request it notes whether it is open. It makes one round trip, or none.
func (a *Agent) note(ctx context.Context, d triggers.Delivery, e triggers.Event, cause run.Cause) (store.Noted, error) {
	switch {
	case a.cfg.Refs == nil || cause.Kind != causeDelivery:
		return store.Noted{}, nil
	case e.Kind == triggers.PullRequest:
		return store.Noted{}, a.ask(ctx, e)
	}
	return a.cfg.Refs.Note(ctx, store.Heard{
		Repo: store.Repo{Forge: e.Forge, Repository: e.Repo}, Ref: e.Ref, Look: a.now().Add(lookSoon),
		Sight: store.Sight{Before: e.Before, After: e.After, Hook: d.Hook, Delivery: d.ID, At: d.At, Recovered: e.Recovered},
	})
}

// duplicate settles the delivery of an event that another one told before.
func (a *Agent) duplicate(ctx context.Context, e triggers.Event, first string) error {
	reason := fmt.Sprintf("duplicate of delivery %s, which told of the same: it starts nothing again; to run it all the same: millrace replay %s",
		first, e.Delivery)
	p := store.Plan{
		Delivery: e.Delivery, Event: e, At: a.now(),
		Explanations: []store.Explained{{Explanation: pipeline.Explanation{Reason: reason}}},
	}
	if err := a.reopen(ctx, first); err != nil {
		return err
	}
	if err := a.cfg.Plans.SavePlan(ctx, p); err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	return a.settle(ctx, e.Delivery, "duplicate", inbox.Outcome{Ignored: true, First: first, Error: reason})
}
