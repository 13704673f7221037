package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/api"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
)

// TestStartsAt: a run that its lane holds says about when it starts, by how long earlier runs of the pipelines before it
// took that succeeded.
func TestStartsAt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	now := time.Now()
	ended := func(nth int, name string, state run.State, took time.Duration) {
		r, _ := run.New(snapshot(nth))
		r.Plan.Pipeline, r.State, r.StartedAt, r.EndedAt = name, state, start, start.Add(took)
		if _, err := h.store.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	held := func(nth int, name string) (about time.Duration) {
		s := snapshot(nth)
		s.Pipeline = name
		s.Lane = &run.LanePlan{Name: "lane", Concurrency: pipeline.Concurrency{Limit: 1, WhenFull: pipeline.Queue, MaxQueue: 20}}
		r, _ := run.New(s)
		if nth == 10 {
			r.AdmittedAt, r.StartedAt, r.State = now, now.Add(-time.Minute), run.Running
		}
		if _, err := h.store.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		var shown api.Run
		if err := json.Unmarshal(h.ask(http.MethodGet, "/api/v1/runs/"+s.ID, http.StatusOK).Body.Bytes(), &shown); err != nil {
			t.Fatal(err)
		}
		if shown.Lane.StartsAt == nil {
			return -1
		}
		return shown.Lane.StartsAt.Time().Sub(now).Round(10 * time.Minute)
	}
	if got := held(10, "build"); got != -1 {
		t.Errorf("a run that is not held starts in %s", got)
	}
	if got := held(11, "ship"); got != -1 {
		t.Errorf("while nobody knows how long a run takes, it starts in %s", got)
	}
	ended(1, "build", run.Succeeded, time.Hour)
	ended(2, "build", run.Failed, time.Second)
	ended(3, "ship", run.Succeeded, 3*time.Hour)
	if got := held(12, "build"); got != 4*time.Hour {
		t.Errorf("behind one of an hour and one of three: it starts in %s", got)
	}
}
