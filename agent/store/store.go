// Package store keeps runs and the plans that explain them. The planner creates runs, the worker and the reporter move
// them through Apply, the reaper asks which are live, the API lists. redisstore and memstore keep the contract,
// storetest holds its laws. It decides nothing: what a run may do next is package run's.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/triggers"
)

// Errors that a Store returns, wrapped.
var (
	ErrNotFound = errors.New("no such run")
	ErrExists   = errors.New("run exists already")
	// ErrConflict means that somebody saved the run since it was loaded: load it again and decide again.
	ErrConflict = errors.New("run was changed meanwhile")
	// ErrUnreadable means that the run is kept, and cannot be read: a newer Millrace wrote it, or it is damaged.
	ErrUnreadable = errors.New("run cannot be read")
	// ErrUnsettled means that the run wants something still, and so cannot be forgotten.
	ErrUnsettled = errors.New("run is not settled")
	// ErrCursor means that the cursor is none that a list of runs returned.
	ErrCursor = errors.New("no such place in the list of runs")
)

// Runs keeps runs. All methods are safe for concurrent use.
type Runs interface {
	// Create saves a new run with its snapshot, once, as the last of its lane, and returns it as saved: where fewer live
	// runs than its limit stand before it there, it is admitted in the same step. Errors: ErrExists.
	Create(ctx context.Context, r run.Run) (run.Run, error)
	// Load returns the run as it was saved last. Errors: ErrNotFound, ErrUnreadable.
	Load(ctx context.Context, id string) (run.Run, error)
	// Save replaces the run whose Version is r.Version by next, whose Version becomes one more; what did not change is
	// not written. A run that becomes final leaves its lane in the same step. It returns next as saved, and whether
	// others stand in the lane that it left. Errors: ErrConflict, ErrNotFound.
	Save(ctx context.Context, r, next run.Run) (saved run.Run, others bool, err error)
	// Lane returns the live runs of a lane in the order of their creation. What it returns may be old by then: run.Lane
	// says why that does no harm. For one that cannot be read there stands run.Unread.
	Lane(ctx context.Context, name string) (run.Lane, error)
	// List returns runs, newest first, from after cursor ("" = the newest), at most limit; next is "" at the end.
	// For one that cannot be read there stands run.Unread. Errors: ErrCursor.
	List(ctx context.Context, f Filter, cursor string, limit int) (runs []run.Run, next string, err error)
	// Live returns at most limit ids of runs that want something still (run.Run.Settled is false), oldest first,
	// beginning after cursor; next is "" at the end. Errors: ErrCursor.
	Live(ctx context.Context, cursor string, limit int) (ids []string, next string, err error)
	// Changes sends the id of every run that is saved by anybody from now on, and "" when some may have been missed,
	// until ctx ends, when it closes the channel. A reader that is slow misses some and is told so by "".
	Changes(ctx context.Context) (<-chan string, error)
	Retention
}

// Plans keeps what was made of deliveries.
type Plans interface {
	// SavePlan keeps p under its delivery, replacing what was there.
	SavePlan(ctx context.Context, p Plan) error
	// Plan returns it. Errors: ErrNotFound.
	Plan(ctx context.Context, delivery string) (Plan, error)
}

// Filter chooses runs; an empty field chooses all. Fields are joined by and.
type Filter struct {
	Repo     string // owner/name
	Branch   string
	Pipeline string
	State    run.State
	Commit   string // whole, or the first 7 and more characters
}

// Plan is what the planner made of one delivery.
type Plan struct {
	Delivery     string         `json:"delivery"`
	Event        triggers.Event `json:"event"`
	Cause        run.Cause      `json:"cause,omitzero"` // of the runs that came of it
	Explanations []Explained    `json:"explanations"`
	At           time.Time      `json:"at"`
}

// Explained is one pipeline's explanation and the run that came of it.
type Explained struct {
	pipeline.Explanation
	Run string `json:"run,omitempty"`
}

// Apply tells fact to the run and saves what follows. It tries with r as it is, which saves a round trip for who saw
// the run last; when r proves to be old, it loads the run and tells it again. The error of run.Run.Apply comes back as
// it is, with the run that refused; effects are the caller's to carry out. One more than the run's own is that the lane
// which it left is to be looked at, where others stand in it.
func Apply(ctx context.Context, s Runs, r run.Run, fact run.Fact) (run.Run, []run.Effect, error) {
	return ApplyTo(ctx, s, r, func(run.Run) run.Fact { return fact })
}

// ApplyTo is Apply of a fact that hangs on the run as it is at the very moment: fact makes it anew each time that the run
// is loaded again.
func ApplyTo(ctx context.Context, s Runs, r run.Run, fact func(run.Run) run.Fact) (run.Run, []run.Effect, error) {
	for fresh := false; ; fresh = true {
		next, effects, err := r.Apply(fact(r))
		if err == nil && next.Same(r) {
			return r, effects, nil
		}
		others := false
		if err == nil {
			next, others, err = s.Save(ctx, r, next)
		}
		if others {
			effects = append(effects, run.Admit{Lane: next.Plan.Lane.Name})
		}
		switch {
		case err == nil:
			return next, effects, nil
		case errors.Is(err, ErrConflict):
		case fresh, !refused(err):
			return r, nil, err
		}
		if r, err = s.Load(ctx, r.Plan.ID); err != nil {
			return r, nil, fmt.Errorf("load run: %w", err)
		}
	}
}

// refused tells whether err is the run's own, which an old copy of it may have returned wrongly.
func refused(err error) bool {
	return errors.Is(err, run.ErrStale) || errors.Is(err, run.ErrImpossible)
}

// Admitted is a new run as it is saved when there is room for it in its lane: as though its lane had let it start in the
// moment of its making.
func Admitted(r run.Run) run.Run {
	if !r.Held() {
		return r
	}
	next, _, _ := r.Apply(run.Admitted{At: r.Plan.CreatedAt}) // Nothing refuses a held run.
	return next
}
