package agent

import (
	"context"
	"crypto/rand"
	"fmt"
	"regexp"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers"
)

// Heads reads which branches and tags a repository has.
type Heads interface {
	// Refs returns the commit of each branch and tag by its whole ref: of an annotated tag the one that it names.
	Refs(ctx context.Context, from triggers.Access) (map[string]string, error)
}

// Replay has a delivery planned again, as a new event with an id of its own: at its own commit, or at rev, which is a
// branch, a tag, a whole ref, the tip of one, or a commit that a run of the repository was of. It returns the delivery
// that the new event is kept as; when it returns one, nothing loses it any more. Errors: inbox.ErrNotFound, and those of
// package triggers, when trying again will not help; any other is weather.
func (a *Agent) Replay(ctx context.Context, id, rev string) (delivery string, err error) {
	e, err := a.again(ctx, id, rev)
	if err != nil {
		return "", err
	}
	d, err := a.ownDelivery(kindReplay, rand.Text(), own{Event: e, Cause: run.Cause{Kind: causeReplay, ID: id}})
	if err != nil {
		return "", err
	}
	if _, err := a.cfg.Inbox.Keep(ctx, d); err != nil {
		return "", fmt.Errorf("keep replay of %s: %w", id, err)
	}
	a.cfg.Log.InfoContext(ctx, "delivery replayed", "delivery", d.ID, "of", id, "repo", e.Repo.Name, "commit", e.After)
	if err := a.PushDeliveries(ctx, d.ID); err != nil {
		a.cfg.Log.WarnContext(ctx, "replay not put in line, the reaper will", "delivery", d.ID, "err", err)
	}
	return d.ID, nil
}

// Rehearse is Replay that keeps and runs nothing: it returns what would be planned, and the snapshots of the runs.
func (a *Agent) Rehearse(ctx context.Context, id, rev string) (store.Plan, []*run.Snapshot, error) {
	e, err := a.again(ctx, id, rev)
	if err != nil {
		return store.Plan{}, nil, err
	}
	return a.decide(ctx, e, run.Cause{Kind: causeReplay, ID: id}, &beside{})
}

// again is the event of a kept delivery, at another commit if rev names one.
func (a *Agent) again(ctx context.Context, id, rev string) (triggers.Event, error) {
	rec, err := a.cfg.Inbox.Get(ctx, id)
	if err != nil {
		return triggers.Event{}, err
	}
	if rec.Ignored != "" {
		return triggers.Event{}, fmt.Errorf("%w: %s", triggers.ErrIgnored, rec.Ignored)
	}
	e, _, err := a.parse(rec.Delivery)
	if err != nil || rev == "" {
		return e, err
	}
	if e.Kind == triggers.Deletion {
		return e, fmt.Errorf("%w: %s tells of a deletion, which has no commit: leave the revision out", triggers.ErrIgnored, id)
	}
	commit, err := a.resolve(ctx, e, rev)
	if err != nil || commit == e.After {
		return e, err
	}
	e.After, e.Files, e.Message, e.Author = commit, nil, "", triggers.Person{} // What is not asked is not known.
	return e, nil
}

// commitLike is what may be a commit, whole or its beginning.
var commitLike = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// resolve finds the commit that rev names in the event's repository. A commit that is no tip must be one that we know of:
// forges give out those of forks too, whose authors may not write here.
func (a *Agent) resolve(ctx context.Context, e triggers.Event, rev string) (string, error) {
	from, err := a.access(e)
	if err != nil {
		return "", err
	}
	refs, err := a.cfg.Heads.Refs(ctx, from)
	if err != nil {
		return "", fmt.Errorf("read refs: %w", err)
	}
	branch, tag := refs["refs/heads/"+rev], refs["refs/tags/"+rev]
	switch {
	case refs[rev] != "":
		return refs[rev], nil
	case branch != "" && tag != "" && branch != tag:
		return "", fmt.Errorf("%w: %.80q is a branch and a tag: say refs/heads/%[2]s or refs/tags/%[2]s", triggers.ErrPermanent, rev)
	case branch+tag != "":
		return max(branch, tag), nil
	}
	if commitLike.MatchString(rev) {
		for _, tip := range refs {
			if tip == rev {
				return rev, nil
			}
		}
		commit, err := a.known(ctx, e, rev)
		if err != nil || commit != "" {
			return commit, err
		}
	}
	return "", fmt.Errorf("%w: %.80q is no branch or tag of %s, and no commit that a run of it was of", triggers.ErrPermanent, rev, e.Repo.Name)
}

// known is the commit that begins with rev if a run of the repository was of it, for somebody who may write there, else
// "".
func (a *Agent) known(ctx context.Context, e triggers.Event, rev string) (string, error) {
	runs, _, err := a.cfg.Runs.List(ctx, store.Filter{Repo: e.Repo.Name, Commit: rev}, "", batch)
	if err != nil {
		return "", fmt.Errorf("look for runs: %w", err)
	}
	commit := ""
	for _, r := range runs {
		was := r.Plan.Event
		if was.Forge != e.Forge || !was.Trusted() {
			continue
		}
		if commit != "" && commit != was.After {
			return "", fmt.Errorf("%w: several commits begin with %s: say all of it", triggers.ErrPermanent, rev)
		}
		commit = was.After
	}
	return commit, nil
}
