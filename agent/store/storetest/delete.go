package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// old reads all pages there of the runs created before the nth, each of at most n ids.
func (p pair) old(nth, n int) []string {
	p.t.Helper()
	var all []string
	for cursor, more := "", true; more; more = cursor != "" {
		ids, next, err := p.there.Old(p.t.Context(), plain(nth, 1).CreatedAt, cursor, n)
		if err != nil || len(ids) > n {
			p.t.Fatalf("old: got %d ids, want at most %d: %v", len(ids), n, err)
		}
		all, cursor = append(all, ids...), next
	}
	return all
}

func oldPages(t *testing.T, p pair) {
	same(t, "old runs of an empty store", p.old(5, 10), nil)
	for _, nth := range []int{3, 6, 1, 5, 2, 4} {
		p.create(plain(nth, 1))
	}
	settle(p, id(2)) // it is old all the same
	want := newest(4)
	slices.Reverse(want)
	for _, n := range []int{1, 3, 4, 100} {
		same(t, fmt.Sprintf("runs before the fifth, in pages of %d", n), p.old(5, n), want)
	}
	same(t, "runs before all", p.old(1, 10), nil)
	same(t, "all runs", len(p.old(1000, 10)), 6)
	if _, _, err := p.here.Old(t.Context(), start, "nonsense", 10); !errors.Is(err, store.ErrCursor) {
		t.Errorf("got %v, want %v", err, store.ErrCursor)
	}
}

func deletesSettled(t *testing.T, p pair) {
	lane := inLane(1, "l", 1)
	lane.Event.Repo.Name, lane.Event.Branch, lane.Pipeline, lane.Event.After = "shop/api", "main", "build", "0123456789abcdef"
	p.create(lane)
	p.create(plain(2, 1))
	settle(p, id(1))
	r := p.load(id(1))
	for range 2 { // as after a crash
		if err := p.here.Delete(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if _, err := p.there.Load(t.Context(), id(1)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("load: got %v, want %v", err, store.ErrNotFound)
		}
		for _, f := range []store.Filter{{}, {State: run.Canceled}, {Repo: "shop/api"}, {Branch: "main"}, {Pipeline: "build"}, {Commit: "0123456"}} {
			if slices.Contains(p.list(f, 10), id(1)) {
				t.Errorf("it is listed by %+v", f)
			}
		}
		same(t, "old runs", p.old(1000, 10), []string{id(2)})
		same(t, "lane", p.lane("l"), nil)
	}
	if _, _, err := p.there.Save(t.Context(), r, r); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("save: got %v, want %v", err, store.ErrNotFound)
	}
}

func deletesNothingElse(t *testing.T, p pair) {
	r := p.create(plain(1, 1))
	if err := p.here.Delete(t.Context(), r); !errors.Is(err, store.ErrUnsettled) {
		t.Errorf("got %v, want %v", err, store.ErrUnsettled)
	}
	settle(p, id(1))
	before := p.load(id(1))
	p.tell(before, run.Told{To: run.StatusListener, State: "running", At: start.Add(time.Hour)}) // a late one
	if err := p.here.Delete(t.Context(), before); !errors.Is(err, store.ErrConflict) {
		t.Errorf("got %v, want %v", err, store.ErrConflict)
	}
	same(t, "runs", p.list(store.Filter{}, 10), []string{id(1)})
}
