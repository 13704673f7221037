package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/runners"
)

// inLane is a plain snapshot whose run stands in a lane.
func inLane(nth int, lane string, limit int) *run.Snapshot {
	plan := plain(nth, 1)
	plan.Lane = &run.LanePlan{Name: lane, Concurrency: pipeline.Concurrency{
		Group: "main", Limit: limit, WhenFull: pipeline.Queue, MaxQueue: 1000,
	}}
	return plan
}

// lane is the ids of the runs in a lane, as they are there.
func (p pair) lane(name string) []string {
	p.t.Helper()
	runs, err := p.there.Lane(p.t.Context(), name)
	if err != nil {
		p.t.Fatalf("lane %s: %v", name, err)
	}
	var ids []string
	for _, r := range runs {
		ids = append(ids, r.Plan.ID)
		same(p.t, "run "+r.Plan.ID+" in its lane", r, p.load(r.Plan.ID))
	}
	return ids
}

func laneInOrder(t *testing.T, p pair) {
	same(t, "a lane that nobody was ever in", p.lane("l"), nil)
	for _, nth := range []int{2, 3, 1} { // in this order, whatever they say of their creation
		p.create(inLane(nth, "l", 1))
	}
	p.create(inLane(4, "other", 1))
	p.create(plain(5, 1))
	skipped := inLane(6, "l", 1)
	skipped.Skip = "not affected"
	p.create(skipped)
	same(t, "lane", p.lane("l"), []string{id(2), id(3), id(1)})
	settle(p, id(3))
	p.create(inLane(7, "l", 1))
	same(t, "lane after one was canceled and one came", p.lane("l"), []string{id(2), id(1), id(7)})
	settle(p, id(7))
	p.create(inLane(8, "l", 1))
	same(t, "lane after the last was canceled and one came", p.lane("l"), []string{id(2), id(1), id(8)})
}

func laneAdmits(t *testing.T, p pair) {
	for nth := 1; nth <= 4; nth++ {
		r := p.create(inLane(nth, "l", 2))
		want, _ := run.New(inLane(nth, "l", 2))
		if nth <= 2 {
			want = store.Admitted(want)
		}
		same(t, fmt.Sprintf("run %d of a lane of 2", nth), r, want)
		same(t, fmt.Sprintf("run %d of a lane of 2, loaded", nth), p.load(r.Plan.ID), want)
		same(t, "held", r.Held(), nth > 2)
		if _, err := p.there.Create(t.Context(), r); !errors.Is(err, store.ErrExists) {
			t.Errorf("create again: got %v, want %v", err, store.ErrExists)
		}
	}
	same(t, "lane", p.lane("l"), []string{id(1), id(2), id(3), id(4)})
}

func laneTellsOthers(t *testing.T, p pair) {
	for nth := 1; nth <= 2; nth++ {
		p.create(inLane(nth, "l", 1))
	}
	end := func(nth int) bool {
		t.Helper()
		r := p.load(id(nth))
		next, _, err := r.Apply(run.Cancel{By: "alice", Reason: "not needed", At: start})
		if err != nil || !next.State.Final() {
			t.Fatalf("cancel %s: %v, %s", r.Plan.ID, err, next.State)
		}
		saved, others, err := p.here.Save(t.Context(), r, next)
		if err != nil {
			t.Fatal(err)
		}
		told, _, err := saved.Apply(run.Told{To: run.StatusListener, State: "canceled", At: start})
		if err != nil {
			t.Fatal(err)
		}
		if _, again, err := p.here.Save(t.Context(), saved, told); again || err != nil {
			t.Errorf("a run that was final before left its lane again: %v, %v", again, err)
		}
		return others
	}
	same(t, "others are there when the first leaves", end(1), true)
	same(t, "others are there when the last leaves", end(2), false)
	same(t, "lane", p.lane("l"), nil)
}

// laneLimitHolds has runs made, admitted and ended at both places at once, each admitter on what it saw.
func laneLimitHolds(t *testing.T, p pair) {
	const runs, limit = 24, 3
	var mu sync.Mutex
	running, most := 0, 0
	at := func(change int) {
		mu.Lock()
		defer mu.Unlock()
		running += change
		most = max(most, running)
	}
	finish := func(by Store, r run.Run) { // one that was admitted
		at(+1)
		at(-1) // before it is saved: somebody may be admitted then
		for _, f := range []run.Fact{
			run.Started{Task: "t0", Attempt: 1, Worker: "w", At: start},
			run.Ended{Task: "t0", Attempt: 1, Result: runners.Result{Class: runners.Succeeded}, At: start},
		} {
			next, _, err := store.Apply(t.Context(), by, r, f)
			if err != nil {
				t.Errorf("tell %s %#v: %v", r.Plan.ID, f, err)
				return
			}
			r = next
		}
	}
	var all sync.WaitGroup
	for i := range runs {
		all.Go(func() {
			by := []Store{p.here, p.there}[i%2]
			r, _ := run.New(inLane(i+1, "l", limit))
			r, err := by.Create(t.Context(), r)
			if err != nil {
				t.Errorf("create: %v", err)
				return
			}
			for r.Held() {
				lane, err := by.Lane(t.Context(), "l")
				if err != nil {
					t.Errorf("lane: %v", err)
					return
				}
				for _, v := range lane.Admit(start) {
					if _, _, err := store.Apply(t.Context(), by, v.Run, v.Fact); err != nil && !errors.Is(err, run.ErrStale) {
						t.Errorf("tell %s %#v: %v", v.Run.Plan.ID, v.Fact, err)
					}
				}
				if r, err = by.Load(t.Context(), r.Plan.ID); err != nil {
					t.Errorf("load: %v", err)
					return
				}
			}
			finish(by, r)
		})
	}
	all.Wait()
	if most > limit {
		t.Errorf("%d ran at once, want at most %d", most, limit)
	}
	same(t, "lane in the end", p.lane("l"), nil)
	same(t, "succeeded runs", len(p.list(store.Filter{State: run.Succeeded}, 100)), runs)
}
