package redisstore_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

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
