package api

import (
	"context"
	"time"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// earlier is how many runs of a pipeline say how long its next one takes.
const earlier = 9

// place says where a run stands that its lane holds, and about when it starts, as earlier runs let it expect.
func (s *server) place(ctx context.Context, r run.Run, shown *Lane) error {
	lane, err := s.cfg.Runs.Lane(ctx, r.Plan.Lane.Name)
	if err != nil {
		return err
	}
	shown.Position, shown.Before = lane.Position(r.Plan.ID)
	known := map[string]time.Duration{} // by pipeline: who shares a lane is of one repository
	for _, one := range lane {
		if one.Held() {
			shown.Waiting++
		}
	}
	starts, ok := lane.Starts(r.Plan.ID, time.Now(), func(one run.Run) time.Duration {
		if _, ok := known[one.Plan.Pipeline]; !ok && err == nil {
			known[one.Plan.Pipeline], err = s.typical(ctx, one)
		}
		return known[one.Plan.Pipeline]
	})
	if ok {
		at := stamp(starts)
		shown.StartsAt = &at
	}
	return err
}

// typical is how long the runs of a pipeline took that succeeded last.
func (s *server) typical(ctx context.Context, r run.Run) (time.Duration, error) {
	f := store.Filter{Repo: r.Plan.Event.Repo.Name, Pipeline: r.Plan.Pipeline, State: run.Succeeded}
	runs, _, err := s.cfg.Runs.List(ctx, f, "", earlier)
	return run.Typical(runs), err
}
