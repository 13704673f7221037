package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// forgetRuns forgets runs that ended too long ago, and the oldest of those that together hold too much, a batch of each
// at most, and tells whether that was all.
func (a *Agent) forgetRuns(ctx context.Context) (all bool, err error) {
	var aged, counted, over int
	if a.cfg.KeepRuns > 0 {
		aged, err = a.forgetOld(ctx, a.cfg.Now().Add(-a.cfg.KeepRuns))
	}
	if a.cfg.RunsBytes > 0 && err == nil {
		counted, over, err = a.boundRuns(ctx)
	}
	if aged+over > 0 {
		a.cfg.Log.InfoContext(ctx, "runs forgotten", "old", aged, "over", over)
	}
	return max(aged, counted, over) < batch, err
}

// boundRuns counts what runs hold and forgets the oldest of what is too much. Until this process has forgotten all once,
// it looks for what a Millrace of before left.
func (a *Agent) boundRuns(ctx context.Context) (counted, over int, err error) {
	if a.trimmed.IsZero() {
		err = a.findMissed(ctx)
	}
	if err == nil {
		counted, err = a.countRuns(ctx)
	}
	if err == nil {
		over, err = a.forgetOver(ctx)
	}
	return counted, over, err
}

// findMissed has all runs that were settled and not listed counted.
func (a *Agent) findMissed(ctx context.Context) error {
	for cursor, more := "", true; more; more = cursor != "" {
		next, err := a.cfg.Runs.Missed(ctx, cursor, batch)
		if err != nil {
			return err
		}
		cursor = next
	}
	return nil
}

// forgetOld forgets runs that ended before a time, the oldest first, and tells how many.
func (a *Agent) forgetOld(ctx context.Context, before time.Time) (int, error) {
	list := func(cursor string) ([]string, string, error) { return a.cfg.Runs.Old(ctx, before, cursor, batch) }
	return a.eachRun(ctx, list, func(r run.Run) (bool, error) {
		if !r.Settled() || !r.EndedAt.Before(before) {
			return false, nil
		}
		return true, a.forgetRun(ctx, r)
	})
}

// countRuns counts what runs hold that are settled since the last time, and tells how many those were.
func (a *Agent) countRuns(ctx context.Context) (int, error) {
	list := func(cursor string) ([]string, string, error) { return a.cfg.Runs.Uncounted(ctx, cursor, batch) }
	return a.eachRun(ctx, list, func(r run.Run) (bool, error) {
		size, err := a.cfg.Logs.Size(ctx, r.Plan.ID, logsOf(r))
		if err != nil {
			return false, err
		}
		return true, a.cfg.Runs.Count(ctx, r, size)
	})
}

// forgetOver forgets the oldest runs while all hold more than they may, and tells how many.
func (a *Agent) forgetOver(ctx context.Context) (int, error) {
	list := func(string) (ids []string, next string, err error) {
		ids, err = a.cfg.Runs.Over(ctx, a.cfg.RunsBytes, batch)
		return ids, "", err
	}
	return a.eachRun(ctx, list, func(r run.Run) (bool, error) { return true, a.forgetRun(ctx, r) })
}

// eachRun does something with the runs of a list until it is done with a batch, and tells with how many. One that cannot
// be done does not keep the others; one that was saved meanwhile is looked at again.
func (a *Agent) eachRun(ctx context.Context, list func(cursor string) ([]string, string, error), do func(run.Run) (bool, error)) (done int, err error) {
	for cursor, more := "", true; more && done < batch; more = cursor != "" {
		ids, next, err := list(cursor)
		if err != nil {
			return done, fmt.Errorf("find runs to forget: %w", err)
		}
		for _, id := range ids {
			r, err := a.cfg.Runs.Load(ctx, id)
			did := false
			if err == nil {
				did, err = do(r)
			}
			switch {
			case ctx.Err() != nil:
				return done, ctx.Err()
			case err == nil && did:
				done++
			case err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrConflict):
				a.cfg.Log.WarnContext(ctx, "ended run not counted or forgotten", "run", id, "err", err)
			}
		}
		cursor = next
	}
	return done, nil
}

// forgetRun forgets a settled run. Its logs go first: who is killed in between leaves a run that is found again, and not
// logs that nobody knows of.
func (a *Agent) forgetRun(ctx context.Context, r run.Run) error {
	if err := a.cfg.Logs.Forget(ctx, r.Plan.ID, logsOf(r)); err != nil {
		return err
	}
	return a.cfg.Runs.Delete(ctx, r)
}

// logsOf is every log that a run may have.
func logsOf(r run.Run) []logs.Key {
	var keys []logs.Key
	for _, t := range r.Tasks {
		for attempt := 1; attempt <= t.Attempt; attempt++ {
			for _, kind := range []logs.Kind{logs.Output, logs.Manifest, logs.Evidence} {
				keys = append(keys, logs.Key{Run: r.Plan.ID, Task: t.Name, Attempt: attempt, Kind: kind})
			}
		}
	}
	return keys
}
