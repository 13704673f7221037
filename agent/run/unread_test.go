package run_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
)

// TestUnreadHoldsItsPlace: in its lane a run that cannot be read is as one that runs: nobody is admitted in its place, and
// nobody tells it anything, whatever the others want.
func TestUnreadHoldsItsPlace(t *testing.T) {
	for _, c := range []struct {
		name     string
		limit    int
		whenFull string
		want     map[string]string // what is told to whom
	}{
		{"one at a time", 1, pipeline.Queue, map[string]string{}},
		{"two at a time", 2, pipeline.Queue, map[string]string{"b": "Admitted"}},
		{"cancel_running", 1, pipeline.CancelRunning, map[string]string{"b": "Cancel"}},
		{"drop", 1, pipeline.Drop, map[string]string{"b": "Dropped", "c": "Dropped"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			says := pipeline.Concurrency{Limit: c.limit, WhenFull: c.whenFull, MaxQueue: 20}
			lane := run.Lane{
				run.Unread("a", laneStart, "it is in form 7"),
				inLane("b", says, laneStart), inLane("c", says, laneStart.Add(time.Second)),
			}
			got := map[string]string{}
			for _, v := range lane.Admit(laneStart) {
				switch v.Fact.(type) {
				case run.Admitted:
					got[v.Run.Plan.ID] = "Admitted"
				case run.Cancel:
					got[v.Run.Plan.ID] = "Cancel"
				case run.Dropped:
					got[v.Run.Plan.ID] = "Dropped"
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			if nth, before := lane.Position("b"); nth != 1 || before != "a" {
				t.Errorf("the second stands %d, behind %s; want first, behind a", nth, before)
			}
		})
	}
}
