// Package memstore keeps runs and plans in memory: for tests, also inside a testing/synctest bubble, and for running a
// pipeline on a laptop. Whoever wants a store without Redis calls it; it calls nobody. It refuses to outlive its process.
package memstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// Store keeps the contracts of store.Runs and store.Plans.
type Store struct {
	mu      sync.Mutex
	runs    map[string]run.Run
	order   []string            // places of all runs, oldest first
	lanes   map[string][]string // ids of the live runs of each lane, in order
	plans   map[string]store.Plan
	bytes   map[string]int64 // what each counted run holds
	readers map[chan string]bool
}

// New returns an empty store.
func New() *Store {
	return &Store{
		runs: map[string]run.Run{}, lanes: map[string][]string{}, plans: map[string]store.Plan{}, bytes: map[string]int64{},
		readers: map[chan string]bool{},
	}
}

// Create keeps the contract.
func (s *Store) Create(_ context.Context, r run.Run) (run.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.Plan.ID
	if _, ok := s.runs[id]; ok {
		return run.Run{}, fmt.Errorf("create run %s: %w", id, store.ErrExists)
	}
	if r.InLane() {
		lane := r.Plan.Lane
		if len(s.lanes[lane.Name]) < lane.Limit {
			r = store.Admitted(r)
		}
		s.lanes[lane.Name] = append(s.lanes[lane.Name], id)
	}
	s.runs[id] = clone(r)
	i, _ := slices.BinarySearch(s.order, store.Place(r))
	s.order = slices.Insert(s.order, i, store.Place(r))
	s.tell(id)
	return r, nil
}

// Load keeps the contract.
func (s *Store) Load(_ context.Context, id string) (run.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.runs[id]
	if !ok {
		return run.Run{}, fmt.Errorf("load run %s: %w", id, store.ErrNotFound)
	}
	return clone(r), nil
}

// Save keeps the contract.
func (s *Store) Save(_ context.Context, r, next run.Run) (saved run.Run, others bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.Plan.ID
	now, ok := s.runs[id]
	switch {
	case !ok:
		return run.Run{}, false, fmt.Errorf("save run %s: %w", id, store.ErrNotFound)
	case now.Version != r.Version:
		return run.Run{}, false, fmt.Errorf("save run %s after version %d: it has version %d: %w", id, r.Version, now.Version, store.ErrConflict)
	}
	next.Version = r.Version + 1
	s.runs[id] = clone(next)
	if !next.Settled() {
		delete(s.bytes, id)
	}
	s.tell(id)
	return next, s.leave(r, next), nil
}

// leave takes a run that became final out of its lane, and tells whether others stand there.
func (s *Store) leave(r, next run.Run) bool {
	if !r.InLane() || next.InLane() {
		return false
	}
	name := r.Plan.Lane.Name
	left := slices.DeleteFunc(s.lanes[name], func(id string) bool { return id == r.Plan.ID })
	if s.lanes[name] = left; len(left) == 0 {
		delete(s.lanes, name)
	}
	return len(left) > 0
}

// Lane keeps the contract.
func (s *Store) Lane(_ context.Context, name string) (run.Lane, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lane run.Lane
	for _, id := range s.lanes[name] {
		lane = append(lane, clone(s.runs[id]))
	}
	return lane, nil
}

// List keeps the contract.
func (s *Store) List(_ context.Context, f store.Filter, cursor string, limit int) (runs []run.Run, next string, err error) {
	if err := store.CheckCursor(cursor); err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	end := len(s.order)
	if cursor != "" {
		end, _ = slices.BinarySearch(s.order, cursor)
	}
	last := ""
	for _, at := range slices.Backward(s.order[:end]) {
		r := s.runs[store.RunAt(at)]
		if !matches(f, r) {
			continue
		}
		if len(runs) >= limit {
			return runs, last, nil
		}
		runs, last = append(runs, clone(r)), at
	}
	return runs, "", nil
}

// Live keeps the contract.
func (s *Store) Live(_ context.Context, cursor string, limit int) (ids []string, next string, err error) {
	if err := store.CheckCursor(cursor); err != nil {
		return nil, "", err
	}
	return s.from(cursor, limit, func(r run.Run) bool { return !r.Settled() })
}

// from returns the ids of the runs that are wanted, oldest first.
func (s *Store) from(cursor string, limit int, wanted func(run.Run) bool) (ids []string, next string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := ""
	for _, at := range s.order {
		if at <= cursor || !wanted(s.runs[store.RunAt(at)]) {
			continue
		}
		if len(ids) >= limit {
			return ids, last, nil
		}
		ids, last = append(ids, store.RunAt(at)), at
	}
	return ids, "", nil
}

// SavePlan keeps the contract.
func (s *Store) SavePlan(_ context.Context, p store.Plan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plans[p.Delivery] = p
	return nil
}

// Plan keeps the contract.
func (s *Store) Plan(_ context.Context, delivery string) (store.Plan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.plans[delivery]
	if !ok {
		return store.Plan{}, fmt.Errorf("plan of delivery %s: %w", delivery, store.ErrNotFound)
	}
	return p, nil
}

// clone is r with tasks of its own, so that who holds one can change no other.
func clone(r run.Run) run.Run {
	r.Tasks = slices.Clone(r.Tasks)
	return r
}

func matches(f store.Filter, r run.Run) bool {
	e := r.Plan.Event
	return (f.Repo == "" || f.Repo == e.Repo.Name) &&
		(f.Branch == "" || f.Branch == e.Branch) &&
		(f.Pipeline == "" || f.Pipeline == r.Plan.Pipeline) &&
		(f.State == "" || f.State == r.State) &&
		(f.Commit == "" || len(f.Commit) >= shortCommit && strings.HasPrefix(e.After, f.Commit))
}

// shortCommit is the least that names a commit.
const shortCommit = 7
