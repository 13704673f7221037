package redisstore_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store/redisstore"
	"github.com/millrace-ci/millrace/internal/redistest"
)

// TestCountedByNobody: a run that a Millrace deleted which does not count is no longer counted once that matters, and the
// sum is that of the others.
func TestCountedByNobody(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	s := redisstore.New(rdb, redisstore.Config{})
	for _, id := range []string{"a", "b", "c"} {
		r := newRun(id, 1)
		r.State, r.Tasks[0].State = run.Canceled, run.Canceled
		r.Told = []run.Told{{To: run.StatusListener, State: "canceled"}}
		create(t, s, r)
		if err := s.Count(t.Context(), r, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	rdb.Unlink(t.Context(), "{millrace}:run:a", "{millrace}:run:a:plan")
	over, err := s.Over(t.Context(), 3<<19, 10)
	if diff := cmp.Diff([]string{"b"}, over); err != nil || diff != "" {
		t.Errorf("over, %v (-want +got):\n%s", err, diff)
	}
	if total, err := rdb.HGet(t.Context(), "{millrace}:runs:bytes", "total").Int64(); err != nil || total < 2<<20 || total > 5<<19 {
		t.Errorf("together they hold %d, %v; want what two of them do", total, err)
	}
	if n := rdb.HLen(t.Context(), "{millrace}:runs:bytes").Val(); n != 3 {
		t.Errorf("%d fields, want two runs and the sum", n)
	}
}

// TestSettledBefore holds that runs which a Millrace settled that does not count are counted, each once, and that one
// which it deleted leaves the list of those that are not counted.
func TestSettledBefore(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	s := redisstore.New(rdb, redisstore.Config{})
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		r := newRun(id, 1)
		if id != "e" { // which goes on
			r.State, r.Tasks[0].State = run.Canceled, run.Canceled
			r.Told = []run.Told{{To: run.StatusListener, State: "canceled"}}
		}
		create(t, s, r)
		if id == "a" {
			if err := s.Count(t.Context(), r, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	rdb.Unlink(t.Context(), "{millrace}:run:d", "{millrace}:run:d:plan")
	uncounted := func(what string, want ...string) {
		t.Helper()
		got, next, err := s.Uncounted(t.Context(), "", 10)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || next != "" || diff != "" {
			t.Errorf("%s: %q, %v (-want +got):\n%s", what, next, err, diff)
		}
	}
	uncounted("with one that was deleted", "b", "c", "d")
	uncounted("without it", "b", "c")
	rdb.Unlink(t.Context(), "{millrace}:runs:uncounted")
	for range 2 {
		pages := 0
		for cursor, more := "", true; more; more = cursor != "" {
			next, err := s.Missed(t.Context(), cursor, 2)
			if err != nil {
				t.Fatal(err)
			}
			pages, cursor = pages+1, next
		}
		if pages != 3 {
			t.Errorf("looked %d times at two of five runs, want 3", pages)
		}
		uncounted("what was settled before", "b", "c")
	}
}
