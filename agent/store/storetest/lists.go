package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/runners"
)

// newest is the ids of the runs from the nth down to the first.
func newest(nth int) []string {
	var want []string
	for i := nth; i > 0; i-- {
		want = append(want, id(i))
	}
	return want
}

func listsNewestFirst(t *testing.T, p pair) {
	for _, nth := range []int{2, 5, 1, 4, 3} {
		p.create(plain(nth, 1))
	}
	twin := plain(5, 1) // created in the same millisecond: the order is some, but always the same
	twin.ID = "a-twin"
	p.create(twin)
	same(t, "runs", p.list(store.Filter{}, 100), append([]string{id(5), "a-twin"}, newest(4)...))
	runs, _, err := p.there.List(t.Context(), store.Filter{}, "", 1)
	if err != nil || len(runs) != 1 {
		t.Fatalf("got %d runs, %v", len(runs), err)
	}
	same(t, "listed run", runs[0], p.load(id(5)))
}

func listsByFilter(t *testing.T, p pair) {
	const a, b = "aaaaaaa1" + "0123456789abcdef", "aaaaaaa2" + "0123456789abcdef" // alike in their first 7 characters
	for nth, of := range []struct{ repo, branch, pipeline, commit string }{
		1: {"shop/api", "main", "test", a},
		2: {"shop/api", "dev", "test", b},
		3: {"shop/web", "main", "test", b},
		4: {"shop/api", "main", "release", a},
		5: {"shop/api", "", "", "c"},
	} {
		if nth == 0 {
			continue
		}
		plan := plain(nth, 1)
		plan.Event.Repo.Name, plan.Event.Branch, plan.Pipeline, plan.Event.After = of.repo, of.branch, of.pipeline, of.commit
		p.create(plan)
	}
	for _, want := range []struct {
		f   store.Filter
		nth []int
	}{
		{store.Filter{Repo: "shop/api"}, []int{5, 4, 2, 1}},
		{store.Filter{Branch: "main"}, []int{4, 3, 1}},
		{store.Filter{Pipeline: "test"}, []int{3, 2, 1}},
		{store.Filter{State: run.Waiting}, []int{5, 4, 3, 2, 1}},
		{store.Filter{Commit: a}, []int{4, 1}},
		{store.Filter{Commit: "aaaaaaa"}, []int{4, 3, 2, 1}},
		{store.Filter{Commit: "aaaaaaa2"}, []int{3, 2}},
		{store.Filter{Commit: "aaaaaa"}, nil}, // too short to name a commit
		{store.Filter{Repo: "shop/api", Branch: "main"}, []int{4, 1}},
		{store.Filter{Repo: "shop/api", Branch: "main", Pipeline: "test", State: run.Waiting, Commit: a[:8]}, []int{1}},
		{store.Filter{Repo: "shop/api", State: run.Failed}, nil},
		{store.Filter{Repo: "shop"}, nil},
		{store.Filter{Repo: "shop/*"}, nil},
	} {
		var ids []string
		for _, nth := range want.nth {
			ids = append(ids, id(nth))
		}
		same(t, fmt.Sprintf("%+v", want.f), p.list(want.f, 100), ids)
		same(t, fmt.Sprintf("%+v, one by one", want.f), p.list(want.f, 1), ids)
	}
}

func listsByState(t *testing.T, p pair) {
	r := p.create(plain(1, 1))
	for _, step := range []struct {
		fact  run.Fact
		state run.State
	}{
		{run.Started{Task: "t0", Attempt: 1, Worker: "w", At: start}, run.Running},
		{run.Cancel{By: "alice", Reason: "not needed", At: start}, run.Canceling},
		{run.Gone{Task: "t0", Attempt: 1, At: start}, run.Canceled},
	} {
		before := r.State
		r = p.tell(r, step.fact)
		same(t, "runs that are "+string(before), p.list(store.Filter{State: before}, 10), nil)
		same(t, "runs that are "+string(step.state), p.list(store.Filter{State: step.state}, 10), []string{r.Plan.ID})
	}
}

func pagesGoOn(t *testing.T, p pair) {
	const runs = 25
	for nth := 1; nth <= runs; nth++ {
		p.create(plain(nth, 1))
	}
	for _, n := range []int{1, 7, 24, 25, 26} {
		same(t, fmt.Sprintf("runs in pages of %d", n), p.list(store.Filter{}, n), newest(runs))
	}
	if ids, next := p.page(store.Filter{}, "", runs); next != "" || len(ids) != runs {
		t.Errorf("a page that holds all: got %d runs and cursor %q, want %d and none", len(ids), next, runs)
	}
}

func pagesAreStable(t *testing.T, p pair) {
	for nth := 1; nth <= 6; nth++ {
		p.create(plain(nth, 1))
	}
	first, cursor := p.page(store.Filter{State: run.Waiting}, "", 3)
	p.create(plain(7, 1))
	p.tell(p.load(id(4)), run.Started{Task: "t0", Attempt: 1, Worker: "w", At: start}) // where the cursor stands
	second, end := p.page(store.Filter{State: run.Waiting}, cursor, 3)
	same(t, "both pages", append(first, second...), newest(6))
	same(t, "cursor at the end", end, "")
}

func listsNothing(t *testing.T, p pair) {
	same(t, "runs of an empty store", p.list(store.Filter{}, 10), nil)
	same(t, "live runs of an empty store", p.live(10), nil)
	p.create(plain(1, 1))
	for _, n := range []int{0, -1} {
		if runs, next, err := p.there.List(t.Context(), store.Filter{}, "", n); len(runs) > 0 || next != "" || err != nil {
			t.Errorf("list of %d: got %d runs, %q, %v, want none", n, len(runs), next, err)
		}
		if ids, next, err := p.there.Live(t.Context(), "", n); len(ids) > 0 || next != "" || err != nil {
			t.Errorf("live of %d: got %d runs, %q, %v, want none", n, len(ids), next, err)
		}
	}
}

func liveAreUnsettled(t *testing.T, p pair) {
	r := p.create(plain(1, 1))
	succeeded := runners.Result{Class: runners.Succeeded}
	for _, f := range []run.Fact{
		run.Started{Task: "t0", Attempt: 1, Worker: "w", At: start},
		run.Ended{Task: "t0", Attempt: 1, At: start, Result: succeeded},
	} {
		r = p.tell(r, f)
		same(t, fmt.Sprintf("live runs after %#v", f), p.live(10), []string{r.Plan.ID})
	}
	p.tell(r, run.Told{To: run.StatusListener, State: "succeeded", At: start}) // the last thing that it wanted
	same(t, "live runs after the telling", p.live(10), nil)
	settled, _, err := func() (run.Run, []run.Effect, error) {
		skipped := plain(2, 1)
		skipped.Skip = "from a fork: not trusted"
		r, _ := run.New(skipped)
		return r.Apply(run.Told{To: run.StatusListener, State: "not_affected", At: start})
	}()
	if err != nil || !settled.Settled() {
		t.Fatalf("settled %v, %v", settled.Settled(), err)
	}
	if _, err := p.here.Create(t.Context(), settled); err != nil {
		t.Fatal(err)
	}
	same(t, "live runs with one that was settled from the start", p.live(10), nil)
}

func livePages(t *testing.T, p pair) {
	const runs = 9
	for _, nth := range []int{3, 9, 1, 7, 5, 2, 8, 6, 4} {
		p.create(plain(nth, 1))
	}
	want := newest(runs)
	slices.Reverse(want)
	for _, n := range []int{1, 4, 9, 100} {
		same(t, fmt.Sprintf("live runs in pages of %d", n), p.live(n), want)
	}
	_, cursor, err := p.there.Live(t.Context(), "", 3)
	if err != nil {
		t.Fatal(err)
	}
	settle(p, id(3)) // where the cursor stands
	rest, _, err := p.there.Live(t.Context(), cursor, 100)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "live runs after the third", rest, want[3:])
}

// settle brings a plain run to its end.
func settle(p pair, id string) {
	p.t.Helper()
	p.tell(p.load(id), run.Cancel{By: "alice", Reason: "not needed", At: start},
		run.Told{To: run.StatusListener, State: "canceled", At: start})
}

func cursorRefused(t *testing.T, p pair) {
	p.create(plain(1, 1))
	for _, cursor := range []string{"nonsense", "[", "+", "0123456789ab", "0123456789ab\x00"} {
		if _, _, err := p.here.List(t.Context(), store.Filter{}, cursor, 10); !errors.Is(err, store.ErrCursor) {
			t.Errorf("list from %q: got %v, want %v", cursor, err, store.ErrCursor)
		}
		if _, _, err := p.here.Live(t.Context(), cursor, 10); !errors.Is(err, store.ErrCursor) {
			t.Errorf("live from %q: got %v, want %v", cursor, err, store.ErrCursor)
		}
	}
}
