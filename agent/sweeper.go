package agent

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/runners"
)

const (
	sweepEvery = 10 * time.Minute
	sweepAfter = 24 * time.Hour // how long what an ended run's jobs left can be looked at
)

// sweep removes what ended jobs left at the runners of this process, until ctx ends.
func (a *Agent) sweep(ctx context.Context) error {
	for {
		for name, r := range a.cfg.Runners {
			s, ok := r.Runner.(runners.Sweeper)
			if !ok || r.Capacity == 0 {
				continue
			}
			n, err := s.Sweep(ctx, func(id string) bool { return a.wanted(ctx, id) })
			if err != nil && ctx.Err() == nil {
				a.cfg.Log.WarnContext(ctx, "sweeping failed", "runner", name, "err", err)
			}
			if n > 0 {
				a.cfg.Log.InfoContext(ctx, "ended jobs swept", "runner", name, "jobs", n)
			}
		}
		if !wait(ctx, sweepEvery) {
			return nil
		}
	}
}

// wanted tells whether a job belongs to a run that is not over, or not for long. Where that cannot be found out it is.
func (a *Agent) wanted(ctx context.Context, job string) bool {
	id, _, ok := strings.Cut(strings.TrimPrefix(job, "mr-"), "-")
	if !ok {
		return true
	}
	r, err := a.cfg.Runs.Load(ctx, id)
	if err != nil {
		return !errors.Is(err, store.ErrNotFound)
	}
	return !r.State.Final() || a.cfg.Now().Sub(r.EndedAt) < sweepAfter
}
