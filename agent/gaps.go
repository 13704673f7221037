package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// Redeliverer is what a Forge's Source may be besides: a forge that can be asked to deliver again what it could not.
type Redeliverer interface {
	// Redeliver asks the forge to deliver again what it failed to deliver of a repository since a time, and tells how many
	// deliveries it asked for. They come through the door, under the keys that they had. It may not ask for all at once:
	// who calls again with the same since, until nothing is asked for, misses nothing.
	Redeliver(ctx context.Context, repo string, since time.Time) (asked int, err error)
}

// gapsItem is the one item in the line of those who look for gaps, as the reaper's is in his.
const gapsItem = "gaps"

const (
	looksAtOnce = 4
	unlooked    = 24 * time.Hour     // until what is not looked at is thought of again
	dropAfter   = 7 * 24 * time.Hour // since when a repository cannot be looked at
)

func (a *Agent) looking() *loop[string] {
	return &loop[string]{
		name: "gaps", queue: a.cfg.Queues.Gaps, worker: a.cfg.Name, slots: 1,
		lease: a.cfg.LeaseTime, pause: a.cfg.LeaseTime, handle: a.lookForGaps, log: a.cfg.Log,
	}
}

// keepLooking makes every repository due at once, also those that are named in the configuration and that nobody has
// pushed to, and keeps the item in line.
func (a *Agent) keepLooking(intake context.Context) error {
	var named []store.Repo
	for name, f := range a.cfg.Forges {
		for _, repo := range f.Repositories {
			if f.Poll > 0 && triggers.CheckName(repo) == nil {
				named = append(named, store.Repo{Forge: name, Repository: triggers.Repository{Name: repo}})
			}
		}
	}
	for {
		err := a.cfg.Refs.Hurry(intake, a.now(), named...)
		if err == nil {
			return a.keepInLine(intake, a.cfg.Queues.Gaps, gapsItem)
		}
		if !wait(intake, a.cfg.LeaseTime) {
			return nil
		}
		a.cfg.Log.WarnContext(intake, "looks for missed pushes not begun", "err", err)
	}
}

// lookForGaps looks at every repository that is due, a few at a time. It stops with intake: what was not looked at is
// due still.
func (a *Agent) lookForGaps(intake, work context.Context, _ queue.Lease[string]) error {
	ctx, stop := context.WithCancel(work)
	defer stop()
	defer context.AfterFunc(intake, stop)()
	for {
		due, err := a.cfg.Refs.Due(ctx, a.now(), batch)
		if err != nil || len(due) == 0 {
			return err
		}
		g := new(errgroup.Group)
		g.SetLimit(looksAtOnce)
		for _, w := range due {
			g.Go(func() error { return a.lookAt(ctx, w) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
}

// lookAt compares one repository's branches and tags with what was heard of them, and has those planned that nobody told.
func (a *Agent) lookAt(ctx context.Context, w store.Watch) error {
	l := look{Agent: a, forge: a.cfg.Forges[w.Forge], watch: w, at: a.now()}
	if l.forge.Access == nil || l.every() == 0 || !among(w.Name, l.forge.Repositories) {
		return l.end(ctx, store.Look{})
	}
	l.askAgain(ctx)
	sights, err := a.cfg.Refs.Sights(ctx, w.Forge, w.Name) // before the heads: what is heard in between is no gap then
	if err != nil {
		return l.unseen(ctx, err)
	}
	heads, err := l.heads(ctx)
	if err != nil {
		return l.unseen(ctx, err)
	}
	if err := l.reopenAll(ctx, sights); err != nil {
		return err
	}
	found, gaps := l.compare(heads, sights)
	sure := l.suspect(gaps)
	if len(sure) > 0 {
		pending, err := l.pending(ctx)
		if err != nil {
			return err
		}
		if pending { // it may tell of them
			l.watch.Suspicions, sure = w.Suspicions, nil
			l.soon = true
		}
	}
	for _, g := range sure {
		heard, err := l.heard(ctx, g)
		if err == nil && !heard {
			err = l.recover(ctx, g)
		}
		if err != nil {
			return err
		}
	}
	if w.Seen.IsZero() {
		a.cfg.Log.InfoContext(ctx, "repository seen first", "forge", w.Forge, "repo", w.Name, "refs", len(heads))
	}
	l.watch.Seen, l.watch.Failing = l.at, time.Time{}
	a.cfg.Metrics.Looked("seen")
	return l.end(ctx, found)
}

// look is one look at one repository.
type look struct {
	*Agent
	forge Forge
	watch store.Watch
	at    time.Time
	from  triggers.Access
	soon  bool // the next follows soon
}

// every is how often the repository is looked at.
func (l *look) every() time.Duration {
	if l.forge.Poll > 0 {
		return l.forge.Poll
	}
	return l.cfg.GapsEvery
}

// end keeps what the look led to, and says when the next one is: not all at once.
func (l *look) end(ctx context.Context, found store.Look) error {
	spread := 0.9 + 0.2*rand.Float64() //nolint:gosec // nobody gains by guessing when a repository is looked at
	found.Next = l.at.Add(time.Duration(float64(cmp.Or(l.every(), unlooked)) * spread))
	if soon := l.at.Add(lookSoon); l.soon && soon.Before(found.Next) {
		found.Next = soon
	}
	return l.cfg.Refs.Looked(ctx, l.watch, found)
}

// askAgain asks the forge for what it could not deliver, where that can be asked for: it comes through the door then, and
// is no gap any more at the next look. It asks once in a round, and at the next look already while there is more of it;
// each time for all since it was told that nothing is missing. A repository is new to us at its first look.
func (l *look) askAgain(ctx context.Context) {
	r, ok := l.forge.Source.(Redeliverer)
	if !ok {
		return
	}
	w := &l.watch
	if w.Asked.IsZero() {
		w.Asked = cmp.Or(w.Seen, l.at)
		w.Arrived = w.Asked
	}
	if l.at.Sub(w.Asked) < l.every()/2 {
		return
	}
	asked, err := r.Redeliver(ctx, w.Name, w.Arrived)
	switch {
	case err == nil && asked == 0:
		w.Asked, w.Arrived = l.at, l.at
	case report.IsPermanent(err): // not at each look, until somebody mends it
		w.Asked = l.at
	}
	if err != nil && ctx.Err() == nil {
		l.cfg.Log.WarnContext(ctx, "missed deliveries not asked for", "forge", w.Forge, "repo", w.Name, "err", err)
	}
	if asked > 0 {
		l.cfg.Metrics.Redelivered(asked)
		l.cfg.Log.InfoContext(ctx, "missed deliveries asked for", "forge", w.Forge, "repo", w.Name, "deliveries", asked)
	}
}

func (l *look) heads(ctx context.Context) (heads map[string]string, err error) {
	if l.from, err = l.forge.Access.Access(l.watch.Repository); err != nil {
		return nil, err
	}
	return l.cfg.Heads.Refs(ctx, l.from)
}

// unseen ends a look that showed nothing. A repository that cannot be looked at for long is forgotten, unless it is named
// in the configuration: it was deleted, or it is not ours to see any more.
func (l *look) unseen(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	l.cfg.Metrics.Looked("failed")
	l.cfg.Log.WarnContext(ctx, "repository not looked at", "forge", l.watch.Forge, "repo", l.watch.Name, "err", err)
	if l.watch.Failing.IsZero() {
		l.watch.Failing = l.at
	}
	if l.at.Sub(l.watch.Failing) > dropAfter && !slices.Contains(l.forge.Repositories, l.watch.Name) {
		return l.cfg.Refs.Drop(ctx, l.watch.Repo)
	}
	return l.end(ctx, store.Look{})
}

// pending tells whether a delivery of the repository waits to be planned. Who is far behind with planning has no time to
// look, and cannot tell.
func (l *look) pending(ctx context.Context) (bool, error) {
	ids, err := l.cfg.Inbox.Unplanned(ctx, batch)
	if err != nil || len(ids) == batch {
		return true, err
	}
	for _, id := range ids {
		rec, err := l.cfg.Inbox.Get(ctx, id)
		if errors.Is(err, inbox.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("look for pending deliveries: %w", err)
		}
		e, _, err := l.parse(rec.Delivery)
		if err == nil && e.Forge == l.watch.Forge && e.Repo.Name == l.watch.Name {
			return true, nil
		}
	}
	return false, nil
}
