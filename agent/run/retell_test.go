package run_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

func TestRetell(t *testing.T) {
	t.Parallel()
	at := time.Unix(1e9, 0).UTC()
	tell := func(r run.Run, f run.Fact) (run.Run, []run.Effect) {
		t.Helper()
		next, effects, err := r.Apply(f)
		if err != nil {
			t.Fatal(err)
		}
		return next, effects
	}
	told := func(state, problem string) run.Told {
		return run.Told{To: run.StatusListener, State: state, At: at, Error: problem}
	}
	retell := run.Retell{To: run.StatusListener, At: at}
	plan := &run.Snapshot{ID: "r", CreatedAt: at, Stages: []run.StagePlan{{Tasks: []run.TaskPlan{{Name: "unit"}}}}}
	first, _ := run.New(plan)

	given, _ := tell(first, told("pending", "the token may not write statuses"))
	if given.Untold() {
		t.Fatal("a telling that was given up is outstanding")
	}
	again, effects := tell(given, retell)
	want := []run.Effect{run.Tell{To: run.StatusListener, State: "pending"}}
	if diff := cmp.Diff(want, effects); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
	if len(given.Told) != 1 {
		t.Error("the run that it was told to has changed")
	}
	if twice, effects := tell(again, retell); len(effects) > 0 || !twice.Same(again) {
		t.Errorf("told twice: got %v and %+v, want no change", effects, twice.Told)
	}

	fine, _ := tell(first, told("pending", ""))
	if after, effects := tell(fine, retell); len(effects) > 0 || !after.Same(fine) {
		t.Errorf("what was told: got %v and %+v, want no change", effects, after.Told)
	}

	ended, _ := tell(first, run.Started{Task: "unit", Attempt: 1, At: at})
	ended, _ = tell(ended, run.Ended{Task: "unit", Attempt: 1, Result: runners.Result{Class: runners.Succeeded}, At: at})
	ended, _ = tell(ended, told("succeeded", "502"))
	if after, _ := tell(ended, retell); !ended.Settled() || after.Settled() || after.State != run.Succeeded {
		t.Errorf("a final run: settled %v before, %v after, %s; want it final, and not settled any more", ended.Settled(), after.Settled(), after.State)
	}

	if _, _, err := first.Apply(run.Retell{To: "nobody"}); !errors.Is(err, run.ErrImpossible) {
		t.Errorf("no such listener: got %v, want %v", err, run.ErrImpossible)
	}
}
