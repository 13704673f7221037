package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// admit looks at a lane and tells its runs what follows: who may start, who is to be ended. Any number of agents may do it
// at once, see run.Lane. It looks again when one that it ended has left the lane, for who stood behind it.
func (a *Agent) admit(ctx context.Context, lane string) error {
	for again := true; again; {
		again = false
		runs, err := a.cfg.Runs.Lane(ctx, lane)
		if err != nil {
			return fmt.Errorf("look at lane: %w", err)
		}
		for _, r := range runs {
			if r.State == run.Unreadable {
				a.cfg.Log.ErrorContext(ctx, "a run that cannot be read holds its place in a lane", "run", r.Plan.ID, "lane", lane, "err", r.Reason)
			}
		}
		for _, v := range runs.Admit(a.now()) {
			next, effects, err := store.Apply(ctx, a.cfg.Runs, v.Run, v.Fact)
			if errors.Is(err, run.ErrStale) {
				continue // somebody else was faster
			}
			if err != nil {
				return fmt.Errorf("tell run %s of its lane: %w", v.Run.Plan.ID, err)
			}
			effects, left := withoutLane(effects)
			again = again || left
			a.performed(ctx, next, effects)
		}
	}
	return nil
}

// withoutLane leaves out that a lane is to be looked at, and tells whether that was wanted.
func withoutLane(effects []run.Effect) (others []run.Effect, wanted bool) {
	others = slices.DeleteFunc(slices.Clone(effects), func(e run.Effect) bool { _, ok := e.(run.Admit); return ok })
	return others, len(others) < len(effects)
}
