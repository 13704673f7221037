package storetest

import (
	"errors"
	"testing"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// heavy is so much more than what a run of these tests holds in the store that the latter does not matter.
const heavy = 1 << 20

// uncounted reads all pages there, each of at most n ids.
func (p pair) uncounted(n int) []string {
	p.t.Helper()
	var all []string
	for cursor, more := "", true; more; more = cursor != "" {
		ids, next, err := p.there.Uncounted(p.t.Context(), cursor, n)
		if err != nil || len(ids) > n {
			p.t.Fatalf("uncounted: got %d ids, want at most %d: %v", len(ids), n, err)
		}
		all, cursor = append(all, ids...), next
	}
	return all
}

func (p pair) over(most int64, n int) []string {
	p.t.Helper()
	ids, err := p.there.Over(p.t.Context(), most, n)
	if err != nil {
		p.t.Fatalf("over %d: %v", most, err)
	}
	if len(ids) == 0 {
		return nil
	}
	return ids
}

func (p pair) count(id string, elsewhere int64) {
	p.t.Helper()
	if err := p.here.Count(p.t.Context(), p.load(id), elsewhere); err != nil {
		p.t.Fatalf("count %s: %v", id, err)
	}
}

func countsSettled(t *testing.T, p pair) {
	for _, nth := range []int{3, 1, 4, 2, 5} {
		p.create(plain(nth, 2))
	}
	same(t, "uncounted runs while all go on", p.uncounted(2), nil)
	for nth := 2; nth <= 5; nth++ { // the first, which is the oldest, goes on
		p.tell(p.load(id(nth)), run.Cancel{By: "alice", Reason: "not needed", At: start},
			run.Told{To: run.StatusListener, State: "canceled", Error: "gave up", At: start})
	}
	same(t, "uncounted runs", p.uncounted(3), []string{id(2), id(3), id(4), id(5)})
	same(t, "over nothing while nothing is counted", p.over(0, 10), nil)
	for nth := 2; nth <= 4; nth++ {
		p.count(id(nth), heavy)
		p.count(id(nth), heavy) // as after a crash
	}
	same(t, "uncounted runs in the end", p.uncounted(3), []string{id(5)})

	same(t, "over what all hold", p.over(3*heavy+heavy/2, 10), nil)
	same(t, "over what two hold", p.over(2*heavy+heavy/2, 10), []string{id(2)})
	same(t, "over a little more than nothing", p.over(heavy/2, 10), []string{id(2), id(3), id(4)})
	same(t, "over a little more than nothing, at most two", p.over(heavy/2, 2), []string{id(2), id(3)})
	p.count(id(2), 0)
	same(t, "over what two hold, when one was counted lighter", p.over(2*heavy+heavy/2, 10), nil)
	p.count(id(2), heavy)
	if err := p.here.Delete(t.Context(), p.load(id(2))); err != nil {
		t.Fatal(err)
	}
	same(t, "over what two hold, when one was deleted", p.over(2*heavy+heavy/2, 10), nil)
	same(t, "over what one holds", p.over(heavy+heavy/2, 10), []string{id(3)})

	p.tell(p.load(id(3)), run.Retell{To: run.StatusListener, At: start})
	same(t, "over what one holds, when the oldest is to be told again", p.over(heavy/2, 1), []string{id(4)})
	p.tell(p.load(id(3)), run.Told{To: run.StatusListener, State: "canceled", At: start})
	same(t, "uncounted runs when it was told", p.uncounted(3), []string{id(3), id(5)})
}

func countsNothingElse(t *testing.T, p pair) {
	r := p.create(plain(1, 1))
	if err := p.here.Count(t.Context(), r, 0); !errors.Is(err, store.ErrUnsettled) {
		t.Errorf("a run that goes on: got %v, want %v", err, store.ErrUnsettled)
	}
	settle(p, id(1))
	before := p.load(id(1))
	p.tell(before, run.Told{To: run.StatusListener, State: "running", At: start}) // a late one
	p.tell(p.load(id(1)), run.Told{To: run.StatusListener, State: "canceled", At: start})
	if err := p.here.Count(t.Context(), before, 0); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a run that was saved meanwhile: got %v, want %v", err, store.ErrConflict)
	}
	now := p.load(id(1))
	if err := p.here.Delete(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if err := p.here.Count(t.Context(), now, 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a run that was deleted: got %v, want %v", err, store.ErrNotFound)
	}
	if _, err := p.here.Missed(t.Context(), "nonsense", 10); !errors.Is(err, store.ErrCursor) {
		t.Errorf("got %v, want %v", err, store.ErrCursor)
	}
	if _, _, err := p.here.Uncounted(t.Context(), "nonsense", 10); !errors.Is(err, store.ErrCursor) {
		t.Errorf("got %v, want %v", err, store.ErrCursor)
	}
	same(t, "over nothing", p.over(0, 10), nil)
}
