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
	if len(given.Untold()) > 0 {
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

// TestTriesShareARecord: however often a listener cannot be told, the run keeps one record of it, which counts.
func TestTriesShareARecord(t *testing.T) {
	t.Parallel()
	at := time.Unix(1e9, 0).UTC()
	r, _ := run.New(&run.Snapshot{ID: "r", CreatedAt: at, Stages: []run.StagePlan{{Tasks: []run.TaskPlan{{Name: "unit"}}}}})
	try := func(problem string, again bool) []run.Effect {
		t.Helper()
		at = at.Add(time.Second)
		f := run.Told{
			To: run.StatusListener, State: "pending", At: at, Error: problem, Again: again, Context: "millrace/build", Text: "waiting to start",
			Took: time.Second, Status: 502, Answer: "bad gateway",
		}
		next, effects, err := r.Apply(f)
		if err != nil {
			t.Fatal(err)
		}
		if twice, _, err := next.Apply(f); err != nil || !twice.Same(next) {
			t.Fatalf("told twice: %+v, %v", twice.Told, err)
		}
		r = next
		return effects
	}
	for range 1000 {
		if effects := try("answered 502", true); len(effects) > 0 {
			t.Fatalf("a try that failed: got %v, want nothing new: it is outstanding still", effects)
		}
	}
	if len(r.Untold()) != 1 || !r.ToldAt(run.StatusListener).IsZero() || len(r.GivenUp()) != 0 {
		t.Errorf("untold %v, told at %v, given up %v", r.Untold(), r.ToldAt(run.StatusListener), r.GivenUp())
	}
	try("", false)
	want := []run.Told{{
		To: run.StatusListener, State: "pending", At: at, Context: "millrace/build", Text: "waiting to start", Took: time.Second, Status: 502,
		Answer: "bad gateway", Tries: 1001,
	}}
	if diff := cmp.Diff(want, r.Told); diff != "" || len(r.Untold()) > 0 {
		t.Errorf("the record (-want +got):\n%s", diff)
	}
	before := r
	if try("answered 502", true); !r.Same(before) {
		t.Errorf("a try that failed late: got %+v, want it told as it was", r.Told)
	}
}

// TestRecordsAreBounded: a run that is told without end keeps the newest records, and says how many there were.
func TestRecordsAreBounded(t *testing.T) {
	t.Parallel()
	at := time.Unix(1e9, 0).UTC()
	r, _ := run.New(&run.Snapshot{ID: "r", CreatedAt: at, Stages: []run.StagePlan{{Tasks: []run.TaskPlan{{Name: "unit"}}}}})
	for i := range 100 {
		next, _, err := r.Apply(run.Told{To: run.StatusListener, State: []string{"pending", "running"}[i%2], At: at.Add(time.Duration(i) * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		r = next
	}
	if len(r.Told) != 21 || r.ToldBefore != 79 || !r.Told[20].At.Equal(at.Add(99*time.Second)) || !r.Told[0].At.Equal(at.Add(79*time.Second)) {
		t.Errorf("%d records of %v to %v, %d before", len(r.Told), r.Told[0].At, r.Told[len(r.Told)-1].At, r.ToldBefore)
	}
}

// TestFirstRecordReplaced reads what a Millrace leaves that keeps one record of each listener, and puts what it tells in
// the place of the first.
func TestFirstRecordReplaced(t *testing.T) {
	t.Parallel()
	at := time.Unix(1e9, 0).UTC()
	r := runIn(t, "a", run.Succeeded)
	told := func(state string, after time.Duration) run.Told {
		return run.Told{To: run.StatusListener, State: state, At: at.Add(after)}
	}
	r.Told = []run.Told{told("succeeded", 2*time.Second), told("running", time.Second)}
	if got := r.ToldAt(run.StatusListener); !r.Settled() || !got.Equal(at.Add(2*time.Second)) {
		t.Errorf("settled %v, told at %v; want it settled: it was told last that it succeeded", r.Settled(), got)
	}
	r.Told[0].Error = "answered 403"
	if len(r.GivenUp()) != 1 {
		t.Error("that this was given up is lost")
	}
	r.Told[0].Error = ""
	for range 30 {
		r.Told = append(r.Told, told("running", 0))
	}
	r.Told[0].State = "pending" // So that there is more to tell.
	next, _, err := r.Apply(run.Told{To: run.StatusListener, State: "running", At: at.Add(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	if len(next.Untold()) != 1 {
		t.Error("a run that ended is told to be running, and that is the end of it")
	}
	if last := next.Told[len(next.Told)-1]; last.State != "running" || !last.At.Equal(at.Add(2*time.Second)) {
		t.Errorf("told by a clock that is behind: got %+v, want it to be the last, and to have the latest time", last)
	}
}
