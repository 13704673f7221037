package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/runners"
)

func createsOnce(t *testing.T, p pair) {
	r, _ := run.New(plain(1, 2))
	errs := make([]error, 50)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			by := []Store{p.here, p.there}[i%2]
			_, errs[i] = by.Create(t.Context(), r)
		})
	}
	all.Wait()
	created := 0
	for _, err := range errs {
		switch {
		case err == nil:
			created++
		case !errors.Is(err, store.ErrExists):
			t.Errorf("got %v, want %v", err, store.ErrExists)
		}
	}
	same(t, "how often it was created", created, 1)
	same(t, "how often it is listed", p.list(store.Filter{}, 10), []string{r.Plan.ID})
}

func loadsNew(t *testing.T, p pair) {
	skipped := plain(2, 2)
	skipped.Skip = "from a fork: not trusted"
	for _, plan := range []*run.Snapshot{richPlan(), brokenPlan(), skipped} {
		r := p.create(plan)
		same(t, "run "+plan.ID, p.load(plan.ID), r)
	}
}

func loadsSaved(t *testing.T, p pair) {
	r := p.create(richPlan())
	for _, f := range richFacts() {
		r = p.tell(r, f)
		same(t, fmt.Sprintf("after %#v", f), p.load(r.Plan.ID), r)
	}
	for _, task := range r.Tasks {
		if at := task.EndedAt; !at.Equal(at.Truncate(time.Millisecond)) || at.Location() != time.UTC {
			t.Errorf("%s ended at %v, want milliseconds in UTC", task.Name, at)
		}
	}
	if unit, _, _ := p.load(r.Plan.ID).Task("unit"); unit.ExitCode == nil {
		t.Error("exit code 0 came back as none")
	}
}

func notFound(t *testing.T, p pair) {
	r := p.create(plain(1, 1))
	for _, id := range []string{"nobody", "", r.Plan.ID + ":plan", "*"} {
		if _, err := p.here.Load(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("load %q: got %v, want %v", id, err, store.ErrNotFound)
		}
	}
	stranger, _ := run.New(plain(2, 1))
	next, _, err := stranger.Apply(run.Cancel{By: "alice", Reason: "not needed", At: start})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.here.Save(t.Context(), stranger, next); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("save: got %v, want %v", err, store.ErrNotFound)
	}
	same(t, "runs", p.list(store.Filter{}, 10), []string{r.Plan.ID})
	same(t, "live runs", p.live(10), []string{r.Plan.ID})
}

func versionGrows(t *testing.T, p pair) {
	r := p.create(plain(1, 1))
	for want := r.Version + 1; want < 4; want++ {
		r = p.tell(r, run.Started{Task: "t0", Attempt: 1, Worker: fmt.Sprint("w", want), At: start})
		same(t, "version that Save returns", r.Version, want)
		same(t, "version that Load returns", p.load(r.Plan.ID).Version, want)
	}
}

func savesOnce(t *testing.T, p pair) {
	r := p.create(plain(1, 8))
	errs := make([]error, 8)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			by := []Store{p.here, p.there}[i%2]
			next, _, err := r.Apply(run.Started{Task: fmt.Sprint("t", i), Attempt: 1, Worker: "w", At: start})
			if err == nil {
				_, _, err = by.Save(t.Context(), r, next)
			}
			errs[i] = err
		})
	}
	all.Wait()
	saved := -1
	for i, err := range errs {
		switch {
		case err == nil && saved >= 0:
			t.Errorf("%d and %d both saved version %d", saved, i, r.Version)
		case err == nil:
			saved = i
		case !errors.Is(err, store.ErrConflict):
			t.Errorf("got %v, want %v", err, store.ErrConflict)
		}
	}
	for i, task := range p.load(r.Plan.ID).Tasks {
		if started := task.State == run.Running; started != (i == saved) {
			t.Errorf("%s is %s, and %d saved", task.Name, task.State, saved)
		}
	}
}

func conflictChangesNothing(t *testing.T, p pair) {
	old := p.create(plain(1, 2))
	now := p.tell(old, run.Started{Task: "t0", Attempt: 1, Worker: "w", At: start})
	next, _, err := old.Apply(run.Cancel{By: "alice", Reason: "not needed", At: start})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.there.Save(t.Context(), old, next); !errors.Is(err, store.ErrConflict) {
		t.Errorf("got %v, want %v", err, store.ErrConflict)
	}
	same(t, "the run", p.load(now.Plan.ID), now)
	same(t, "canceled runs", p.list(store.Filter{State: run.Canceled}, 10), nil)
	same(t, "running runs", p.list(store.Filter{State: run.Running}, 10), []string{now.Plan.ID})
}

func runsAreValues(t *testing.T, p pair) {
	r := p.create(plain(1, 1))
	r = p.tell(r, run.Started{Task: "t0", Attempt: 1, Worker: "w", At: start})
	r.Tasks[0].Worker = "changed after Save"
	loaded := p.load(r.Plan.ID)
	same(t, "worker", loaded.Tasks[0].Worker, "w")
	loaded.Tasks[0].Worker = "changed after Load"
	same(t, "worker", p.load(r.Plan.ID).Tasks[0].Worker, "w")
}

func factsArrive(t *testing.T, p pair) {
	const tasks = 20
	old := p.create(plain(1, tasks))
	var all sync.WaitGroup
	for i := range tasks {
		all.Go(func() {
			by, r, name := []Store{p.here, p.there}[i%2], old, fmt.Sprint("t", i)
			for _, f := range []run.Fact{
				run.Started{Task: name, Attempt: 1, Worker: name, At: start},
				run.Created{Task: name, Attempt: 1, UID: name, At: start},
				run.Ended{Task: name, Attempt: 1, At: start, Result: runners.Result{Class: runners.Succeeded, Summary: name}},
			} {
				next, _, err := store.Apply(t.Context(), by, r, f)
				if err != nil {
					t.Errorf("tell %#v: %v", f, err)
				}
				r = next
			}
		})
	}
	all.Wait()
	r := p.load(old.Plan.ID)
	same(t, "state", r.State, run.Succeeded)
	same(t, "version", r.Version, old.Version+3*tasks)
	for _, task := range r.Tasks {
		same(t, "what arrived of "+task.Name, []string{task.Worker, task.UID, task.Summary}, []string{task.Name, task.Name, task.Name})
	}
}

func keepsPlans(t *testing.T, p pair) {
	want := richDelivery()
	if _, err := p.there.Plan(t.Context(), want.Delivery); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("before it was saved: got %v, want %v", err, store.ErrNotFound)
	}
	for range 2 {
		if err := p.here.SavePlan(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		got, err := p.there.Plan(t.Context(), want.Delivery)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "plan", got, want)
		want.Explanations, want.At = want.Explanations[1:], start.Add(time.Hour)
	}
}
