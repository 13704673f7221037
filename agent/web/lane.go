package web

import (
	"context"
	"slices"
	"time"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

const (
	mostBefore = 5 // of the runs before a held one that are shown
	earlier    = 9 // runs of a pipeline that say how long its next one takes
)

// place is where a run stands that its lane holds.
type place struct {
	Nth, Of int       // among those that wait, from 1
	Limit   int       // how many may run at a time
	Before  []run.Run // the last of those before it, in their order
	More    int       // how many stand before these
	Starts  time.Time // about, by how long earlier runs took; zero where none say
}

// place looks a held run up in its lane. It is nil for any other, also for one that was let go meanwhile.
func (s *site) place(ctx context.Context, r run.Run) (*place, error) {
	if !r.Held() {
		return nil, nil
	}
	lane, err := s.cfg.Runs.Lane(ctx, r.Plan.Lane.Name)
	if err != nil {
		return nil, err
	}
	nth, _ := lane.Position(r.Plan.ID)
	if nth == 0 {
		return nil, nil
	}
	before := lane[:slices.IndexFunc(lane, func(o run.Run) bool { return o.Plan.ID == r.Plan.ID })]
	p := &place{Nth: nth, Limit: r.Plan.Lane.Limit, More: max(len(before)-mostBefore, 0)}
	p.Before = before[p.More:]
	for _, o := range lane {
		if o.Held() {
			p.Of++
		}
	}
	p.Starts, err = s.starts(ctx, lane, r.Plan.ID)
	return p, err
}

// starts is about when a held run starts, the zero time where nobody knows how long one before it takes.
func (s *site) starts(ctx context.Context, lane run.Lane, id string) (at time.Time, err error) {
	known := map[string]time.Duration{} // by pipeline: who shares a lane is of one repository
	at, ok := lane.Starts(id, s.cfg.Now(), func(one run.Run) time.Duration {
		f := store.Filter{Repo: one.Plan.Event.Repo.Name, Pipeline: one.Plan.Pipeline, State: run.Succeeded}
		if _, ok := known[f.Pipeline]; !ok && err == nil {
			var runs []run.Run
			runs, _, err = s.cfg.Runs.List(ctx, f, "", earlier)
			known[f.Pipeline] = run.Typical(runs)
		}
		return known[f.Pipeline]
	})
	if !ok {
		at = time.Time{}
	}
	return at, err
}
