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

// forgetRuns forgets runs that ended before a time, the oldest first, a batch at most, and tells how many. One that
// cannot be forgotten does not keep the others.
func (a *Agent) forgetRuns(ctx context.Context, before time.Time) (forgotten int, err error) {
	for cursor, more := "", true; more && forgotten < batch; more = cursor != "" {
		ids, next, err := a.cfg.Runs.Old(ctx, before, cursor, batch)
		if err != nil {
			return forgotten, fmt.Errorf("find old runs: %w", err)
		}
		for _, id := range ids {
			done, err := a.forgetRun(ctx, id, before)
			if ctx.Err() != nil {
				return forgotten, ctx.Err()
			}
			if err != nil {
				a.cfg.Log.WarnContext(ctx, "old run not forgotten", "run", id, "err", err)
			}
			if done {
				forgotten++
			}
		}
		cursor = next
	}
	if forgotten > 0 {
		a.cfg.Log.InfoContext(ctx, "old runs forgotten", "runs", forgotten)
	}
	return forgotten, nil
}

// forgetRun forgets one run if it wants nothing any more and ended before that time. Its logs go first: who is killed
// in between leaves a run that is found again, and not logs that nobody knows of.
func (a *Agent) forgetRun(ctx context.Context, id string, before time.Time) (bool, error) {
	r, err := a.cfg.Runs.Load(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && (!r.Settled() || !r.EndedAt.Before(before)) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := a.cfg.Logs.Forget(ctx, id, logsOf(r)); err != nil {
		return false, err
	}
	err = a.cfg.Runs.Delete(ctx, r)
	if errors.Is(err, store.ErrConflict) {
		return false, nil // it is looked at again
	}
	return err == nil, err
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
