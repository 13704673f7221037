package agent_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/run"
)

// running is an agent and a run of one task that runs.
func running(t *testing.T, lane *run.LanePlan) (*house, *agent.Agent) {
	t.Helper()
	h := newHouse(t, green)
	r, _ := run.New(&run.Snapshot{
		ID: run.ID("event", "file"), CreatedAt: time.Now().UTC(), Timeout: time.Hour, Lane: lane,
		Stages: []run.StagePlan{{Name: "a", Tasks: []run.TaskPlan{{Name: "unit", Line: "local"}}}},
	})
	for _, f := range []run.Fact{
		run.Admitted{At: time.Now().UTC()},
		run.Started{Task: "unit", Attempt: 1, Worker: "w", At: time.Now().UTC()},
		run.Created{Task: "unit", Attempt: 1, UID: "u", At: time.Now().UTC()},
	} {
		var err error
		if r, _, err = r.Apply(f); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.store.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return h, h.idle()
}

// TestSentOutputsOfARunOfBefore: a run without a lane may be led by a Millrace of before, which knows of no seal and would
// keep it as the output's value.
func TestSentOutputsOfARunOfBefore(t *testing.T) {
	t.Parallel()
	h, a := running(t, nil)
	want := map[string]string{"TAG": "v1", "ODD": "sealed:1 x"}
	if _, err := a.Output(t.Context(), h.theRun().Plan.ID, "unit", 1, want); err != nil {
		t.Fatal(err)
	}
	if got := h.theRun().Tasks[0].Outputs; !maps.Equal(got, want) {
		t.Errorf("got outputs %q, want %q", got, want)
	}
}

// TestSentOutputsAreBoundedAsSent: the bound is that of what the task sends, however much the seals add to it.
func TestSentOutputsAreBoundedAsSent(t *testing.T) {
	t.Parallel()
	for name, lane := range map[string]*run.LanePlan{"sealed": {Name: "lane"}, "as they are": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, a := running(t, lane)
			id, many := h.theRun().Plan.ID, map[string]string{}
			for i := range 16 << 10 { // 16 bytes each
				many[fmt.Sprintf("NAME_%06d", i)] = "value"
			}
			if _, err := a.Output(t.Context(), id, "unit", 1, many); err != nil {
				t.Fatalf("as much as is kept: %v", err)
			}
			_, err := a.Output(t.Context(), id, "unit", 1, map[string]string{"LAST": "x"})
			if want := fmt.Sprintf("take %d bytes, at most %d", 256<<10+5, 256<<10); !errors.Is(err, run.ErrImpossible) || !strings.Contains(err.Error(), want) {
				t.Errorf("too much: got %v, want %q", err, want)
			}
		})
	}
}
