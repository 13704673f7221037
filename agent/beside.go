package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers"
)

const (
	// leaveFor is how long a push waits for a request of its branch to tell of the same commit. Forges send both at once,
	// in either order.
	leaveFor = time.Minute
	// askEvery is how often it looks whether the request did. Each time is decided anew, and nothing started twice.
	askEvery = 5 * time.Second
)

// beside decides between a push and the requests that are open to merge its branch: both tell of one commit, and a
// pipeline that asks for both is to run once, for the request. See docs/adr/0011-a-push-is-left-to-its-request.md.
type beside struct {
	open   []store.Request
	heard  time.Time // when the push was
	now    time.Time
	tries  int               // how often it is planned, this time included
	waits  bool              // for a request to tell
	silent []store.Request   // those that were waited for in vain
	own    map[string]string // by file: what follows the status context of a run that has one of its own
}

// match is pipeline.Match for a push that may be left to a request.
func (b *beside) match(p pipeline.Pipeline, e triggers.Event) pipeline.Explanation {
	x := pipeline.Match(p, e)
	if !x.Matched || e.Kind != triggers.Push || p.On.PullRequest == nil {
		return x
	}
	q, found := b.taker(p, e)
	switch {
	case !found:
	case p.Both:
		b.own[p.File] = "/push"
	case q.Commit == e.After:
		x.Matched, x.Reason = false, fmt.Sprintf("left to request %d, which is of the same commit (`both: true` runs both)", q.Number)
	case b.hopes():
		b.waits = true
		x.Matched, x.Reason = false, fmt.Sprintf("waits for request %d to tell of the same commit", q.Number)
	default:
		b.silent = append(b.silent, q)
		x.Reason += fmt.Sprintf("; request %d told nothing of this commit within %s", q.Number, leaveFor)
	}
	return x
}

// waitBeside starts what waits for no request, once, and says of the rest what it waits for; then all is decided anew.
func (a *Agent) waitBeside(ctx context.Context, p store.Plan, runs []*run.Snapshot) error {
	_, err := a.cfg.Plans.Plan(ctx, p.Delivery)
	switch {
	case err == nil:
		return later{askEvery}
	case !errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("look whether it waits already: %w", err)
	}
	if err := a.start(ctx, p, runs); err != nil {
		return err
	}
	a.cfg.Log.InfoContext(ctx, "push waits for its request", "delivery", p.Delivery, "repo", p.Event.Repo.Name)
	return later{askEvery}
}

// hopes tells whether the request may tell yet. Where the push lay in a spool or in line before it was planned, the
// request may lie behind it: so there are as many tries, too, as fit in the time.
func (b *beside) hopes() bool {
	return b.now.Sub(b.heard) < leaveFor || time.Duration(b.tries)*askEvery < leaveFor
}

// taker finds an open request for which the pipeline would run at the push's commit, one that told of it if there is one.
func (b *beside) taker(p pipeline.Pipeline, e triggers.Event) (taker store.Request, found bool) {
	for _, q := range b.open {
		told := q.Commit == e.After
		action := "synchronize"
		if told {
			action = q.Action
		}
		as := e
		as.Kind, as.Files = triggers.PullRequest, nil
		as.Request = &triggers.Request{Number: q.Number, Action: action, Status: "open", SourceBranch: e.Branch, TargetBranch: q.Target}
		if (told || !found) && pipeline.Match(p, as).Matched {
			taker, found = q, true
		}
	}
	return taker, found
}

// ask notes what a request tells of itself. A fork's branch is another one than that of the same name here.
func (a *Agent) ask(ctx context.Context, e triggers.Event) error {
	r := e.Request
	open := r.Status == "open"
	if r.Fork || open && !brings(r.Action) {
		return nil
	}
	q := store.Request{Number: r.Number, Target: r.TargetBranch, Commit: e.After, Action: r.Action}
	return a.cfg.Refs.Ask(ctx, store.Repo{Forge: e.Forge, Repository: e.Repo}, r.SourceBranch, q, open)
}

// unask forgets requests that do not tell of pushes, so that the next push does not wait for them.
func (a *Agent) unask(ctx context.Context, e triggers.Event, silent []store.Request) error {
	for _, q := range silent {
		if err := a.cfg.Refs.Ask(ctx, store.Repo{Forge: e.Forge, Repository: e.Repo}, e.Branch, q, false); err != nil {
			return err
		}
	}
	return nil
}
