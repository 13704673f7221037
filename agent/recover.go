package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// upgradeTime is how long agents of two versions may run beside each other.
const upgradeTime = time.Hour

// heard tells whether an agent planned what was pushed and noted nothing: one of a version before there were looks, while
// it is replaced. What it heard since the last sight is noted in its place. What was noted, and left the last sight where
// it was, is for recover to join.
func (l *look) heard(ctx context.Context, g gap) (bool, error) {
	if g.now == "" {
		return false, nil
	}
	runs, _, err := l.cfg.Runs.List(ctx, store.Filter{Repo: l.watch.Name, Commit: g.now}, "", batch)
	if err != nil {
		return false, fmt.Errorf("look for runs of what was pushed: %w", err)
	}
	for _, r := range runs {
		e := r.Plan.Event
		if e.Forge != l.watch.Forge || e.Ref != g.ref || r.Plan.Cause.Kind != causeDelivery {
			continue
		}
		rec, err := l.cfg.Inbox.Get(ctx, e.Delivery)
		if err == nil && rec.At.After(g.last.At) {
			return l.noteLate(ctx, rec.Delivery, e, r.Plan.Cause)
		}
		if err != nil && !errors.Is(err, inbox.ErrNotFound) {
			return false, fmt.Errorf("look for the delivery of what was pushed: %w", err)
		}
	}
	return false, nil
}

// noteLate notes what was planned before, and tells whether it is now what was heard last of its ref.
func (l *look) noteLate(ctx context.Context, d triggers.Delivery, e triggers.Event, c run.Cause) (bool, error) {
	if _, err := l.note(ctx, d, e, c); err != nil {
		return false, err
	}
	latest, err := l.cfg.Refs.Latest(ctx, e.Forge, e.Repo.Name, e.Ref)
	return err == nil && latest.After == e.After, err
}

// reopen has a push planned that a look found and that was ignored: by an agent of a version before there were looks, while
// it is replaced. It does nothing about any other delivery.
func (a *Agent) reopen(ctx context.Context, id string) error {
	rec, err := a.cfg.Inbox.Get(ctx, id)
	if errors.Is(err, inbox.ErrNotFound) {
		return nil
	}
	if p := rec.Planned; err == nil && (rec.Kind != kindRecovered || p == nil || !p.Ignored || p.First != "") {
		return nil
	}
	if err == nil {
		err = a.cfg.Inbox.Reopen(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("plan a recovered push again: %w", err)
	}
	return a.PushDeliveries(ctx, id)
}

// reopenAll does so for what was found of late, and noted.
func (l *look) reopenAll(ctx context.Context, sights map[string]store.Sight) error {
	for _, s := range sights {
		if s.Recovered && l.at.Sub(s.At) < upgradeTime {
			if err := l.reopen(ctx, s.Delivery); err != nil {
				return err
			}
		}
	}
	return nil
}

// recover keeps a delivery of a push that nobody told. Its key follows from what was found and what it follows, so that
// it is kept once however often it is found.
func (l *look) recover(ctx context.Context, g gap) error {
	e := triggers.Event{
		Forge: l.watch.Forge, Repo: l.watch.Repository, Ref: g.ref, Before: g.last.After, After: g.now, Time: l.at, Recovered: true,
	}
	switch e.Branch, e.Tag = triggers.SplitRef(g.ref); {
	case g.now == "":
		e.Kind = triggers.Deletion
	case e.Tag != "":
		e.Kind = triggers.Tag
	default:
		e.Kind = triggers.Push
	}
	if e.Repo.HTTPURL == "" && strings.HasPrefix(l.from.URL, "http") {
		e.Repo.HTTPURL = l.from.URL
	}
	key := triggers.Digest(26, "gap", l.watch.Name, g.ref, g.last.After, g.now, g.last.Delivery, g.last.At.UTC().Format(time.RFC3339Nano))
	d, err := l.ownDelivery(kindRecovered, key, own{Event: e})
	if err != nil {
		return err
	}
	receipt, err := l.cfg.Inbox.Keep(ctx, d)
	if err != nil {
		return fmt.Errorf("keep recovered push: %w", err)
	}
	if receipt.Duplicate {
		return l.reopen(ctx, receipt.ID)
	}
	l.cfg.Metrics.PushRecovered()
	l.cfg.Log.WarnContext(ctx, "push recovered that no delivery told", "delivery", d.ID, "forge", e.Forge, "repo", e.Repo.Name,
		"ref", g.ref, "before", e.Before, "after", e.After)
	if err := l.PushDeliveries(ctx, d.ID); err != nil {
		l.cfg.Log.WarnContext(ctx, "delivery not put in line, the reaper will", "delivery", d.ID, "err", err)
	}
	return nil
}
