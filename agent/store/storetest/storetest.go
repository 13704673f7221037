// Package storetest holds the laws that any store of runs and plans keeps. The tests of redisstore and memstore call it;
// it calls only the contract. It looks into no implementation.
package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// limit bounds every step that waits, whatever the machine does.
const limit = 30 * time.Second

// Store is what is under test.
type Store interface {
	store.Runs
	store.Plans
}

// Run tests the stores that open makes against the laws. open returns two stores over the same empty place, as two
// processes have them; a store that only lives in its process is returned twice.
func Run(t *testing.T, open func(t *testing.T) (here, there Store)) {
	laws := []struct {
		name string
		law  func(*testing.T, pair)
	}{
		{"a run is created once", createsOnce},
		{"a new run is loaded as it was", loadsNew},
		{"a run is loaded as it was saved", loadsSaved},
		{"a run that nobody created is not found", notFound},
		{"the version grows by one with each save", versionGrows},
		{"of two who save the same version one has a conflict", savesOnce},
		{"a conflict changes nothing", conflictChangesNothing},
		{"a saved run is nobody else's to change", runsAreValues},
		{"facts told at the same time all arrive", factsArrive},
		{"runs are listed newest first", listsNewestFirst},
		{"runs are listed by each filter and by several", listsByFilter},
		{"a state lists the runs that are in it now", listsByState},
		{"pages go on where the last one ended", pagesGoOn},
		{"pages are stable while new runs arrive", pagesAreStable},
		{"a page of nothing is empty", listsNothing},
		{"what is no cursor is refused", cursorRefused},
		{"live runs are those that are not settled", liveAreUnsettled},
		{"live runs come oldest first, in pages", livePages},
		{"changes by anybody are told", changesAreTold},
		{"a slow reader is told that it missed some", slowReaderMisses},
		{"changes end with their context", changesEnd},
		{"a lane holds its live runs in the order of their making", laneInOrder},
		{"a new run is admitted where its lane has room", laneAdmits},
		{"who leaves a lane is told whether others stand there", laneTellsOthers},
		{"the limit of a lane holds while many come, admit and end", laneLimitHolds},
		{"old runs come oldest first, in pages", oldPages},
		{"settled runs are counted, and the oldest are over first", countsSettled},
		{"a run that wants something, or was saved meanwhile, is not counted", countsNothingElse},
		{"a settled run is deleted, and is nowhere any more", deletesSettled},
		{"a run that wants something, or was saved meanwhile, is not deleted", deletesNothingElse},
		{"a plan is kept as it was, and replaced", keepsPlans},
	}
	for _, l := range laws {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			here, there := open(t)
			l.law(t, pair{t, here, there})
		})
	}
}

// pair is two stores under test whose steps must succeed.
type pair struct {
	t           *testing.T
	here, there Store
}

// create makes a run of plan here, and returns it as saved.
func (p pair) create(plan *run.Snapshot) run.Run {
	p.t.Helper()
	r, _ := run.New(plan)
	created, err := p.here.Create(p.t.Context(), r)
	if err != nil {
		p.t.Fatalf("create %s: %v", plan.ID, err)
	}
	return created
}

// load loads a run there.
func (p pair) load(id string) run.Run {
	p.t.Helper()
	r, err := p.there.Load(p.t.Context(), id)
	if err != nil {
		p.t.Fatalf("load %s: %v", id, err)
	}
	return r
}

// tell tells facts and saves each change here.
func (p pair) tell(r run.Run, facts ...run.Fact) run.Run {
	p.t.Helper()
	for _, f := range facts {
		next, _, err := r.Apply(f)
		if err != nil {
			p.t.Fatalf("tell %#v: %v", f, err)
		}
		saved, _, err := p.here.Save(p.t.Context(), r, next)
		if err != nil {
			p.t.Fatalf("save after %#v: %v", f, err)
		}
		r = saved
	}
	return r
}

// list reads all pages there, each of at most n runs.
func (p pair) list(f store.Filter, n int) []string {
	p.t.Helper()
	var ids []string
	for cursor, more := "", true; more; more = cursor != "" {
		var page []string
		page, cursor = p.page(f, cursor, n)
		ids = append(ids, page...)
	}
	return ids
}

func (p pair) page(f store.Filter, cursor string, n int) (ids []string, next string) {
	p.t.Helper()
	runs, next, err := p.there.List(p.t.Context(), f, cursor, n)
	if err != nil {
		p.t.Fatalf("list %+v: %v", f, err)
	}
	if len(runs) > n {
		p.t.Fatalf("list %+v: got %d runs, want at most %d", f, len(runs), n)
	}
	for _, r := range runs {
		ids = append(ids, r.Plan.ID)
	}
	return ids, next
}

// live reads all pages there, each of at most n ids.
func (p pair) live(n int) []string {
	p.t.Helper()
	var all []string
	for cursor, more := "", true; more; more = cursor != "" {
		ids, next, err := p.there.Live(p.t.Context(), cursor, n)
		if err != nil {
			p.t.Fatalf("live: %v", err)
		}
		if len(ids) > n {
			p.t.Fatalf("live: got %d ids, want at most %d", len(ids), n)
		}
		all, cursor = append(all, ids...), next
	}
	return all
}

// same fails the test unless got is want.
func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// start is when the tests' runs begin.
var start = time.Date(2026, 11, 23, 9, 0, 0, int(7*time.Millisecond), time.UTC)

// plain is a snapshot of parallel tasks t0, t1, ..., the nth of its test.
func plain(nth, tasks int) *run.Snapshot {
	stage := run.StagePlan{Name: "check", Parallel: true}
	for i := range tasks {
		stage.Tasks = append(stage.Tasks, run.TaskPlan{Name: fmt.Sprintf("t%d", i), Line: "local"})
	}
	return &run.Snapshot{ID: id(nth), Stages: []run.StagePlan{stage}, CreatedAt: start.Add(time.Duration(nth) * time.Millisecond)}
}

// id is that of the nth run; in the order of ids they are not in that of time.
func id(nth int) string { return fmt.Sprintf("run%03dx", 999-nth) }
