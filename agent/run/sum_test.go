package run_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

// runIn makes a run of a pipeline in a state.
func runIn(t *testing.T, name string, state run.State) run.Run {
	t.Helper()
	at := time.Unix(1e9, 0).UTC()
	plan := &run.Snapshot{ID: name, Pipeline: name, CreatedAt: at, Stages: []run.StagePlan{{Tasks: []run.TaskPlan{{Name: "unit"}}}}}
	facts := []run.Fact{run.Started{Task: "unit", Attempt: 1, At: at}}
	end := func(class runners.Class) run.Fact {
		return run.Ended{Task: "unit", Attempt: 1, Result: runners.Result{Class: class}, At: at}
	}
	switch state {
	case run.Waiting:
		facts = nil
	case run.Running:
	case run.Succeeded:
		facts = append(facts, end(runners.Succeeded))
	case run.Failed:
		facts = append(facts, end(runners.Failure))
	case run.Canceled:
		facts = []run.Fact{run.Cancel{By: "carol", Reason: "canceled by carol", At: at}}
	case run.Skipped:
		facts, plan.Skip = nil, "not affected: no path matches"
	case "broken":
		facts, plan.Stages, plan.Problems = nil, nil, []pipeline.Problem{{File: "x.yaml"}}
	}
	r, _ := run.New(plan)
	for _, f := range facts {
		var err error
		if r, _, err = r.Apply(f); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestSum(t *testing.T) {
	t.Parallel()
	in := func(pairs ...string) (all []run.Run) {
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, runIn(t, pairs[i], run.State(pairs[i+1])))
		}
		return all
	}
	for _, c := range []struct {
		runs        []run.Run // the newest first
		state, text string
	}{
		{in("a", "succeeded", "b", "succeeded"), "succeeded", "succeeded: a, b"},
		{in("a", "succeeded", "b", "running", "c", "waiting"), "pending", "1 of 3 ended, waiting for b, c"},
		{in("a", "failed", "b", "running"), "pending", "1 of 2 ended, waiting for b"},
		{in("a", "failed", "b", "succeeded", "c", "broken", "d", "canceled"), "failed", "failed: a, c"},
		{in("a", "canceled", "b", "succeeded"), "canceled", "canceled: a"},
		{in("a", "skipped", "b", "succeeded"), "succeeded", "succeeded: b"},
		{in("a", "skipped", "b", "skipped"), "not_affected", "no pipeline was affected"},
		{in("a", "running", "a", "succeeded"), "pending", "0 of 1 ended, waiting for a"},
		{in("a", "succeeded", "a", "failed", "a", "running"), "succeeded", "succeeded: a"},
	} {
		if state, text := run.Sum(c.runs); state != c.state || text != c.text {
			t.Errorf("got %s (%s), want %s (%s)", state, text, c.state, c.text)
		}
	}
	var many []run.Run
	for i := range 9 {
		many = append(many, runIn(t, fmt.Sprint("p", i), run.Failed))
	}
	if _, text := run.Sum(many); text != "failed: p0, p1, p2, p3, p4 and 4 more" {
		t.Errorf("many: %s", text)
	}
}

// TestListeners tells of each task from its turn on, and of the sum only that the run is there and how it ended.
func TestListeners(t *testing.T) {
	t.Parallel()
	at := time.Unix(1e9, 0).UTC()
	plan := &run.Snapshot{ID: "r", CreatedAt: at, Status: pipeline.Status{Tasks: true, Sum: true}, Stages: []run.StagePlan{
		{Name: "check", Tasks: []run.TaskPlan{{Name: "unit"}, {Name: "lint", IgnoreFailed: true}, {Name: "image"}, {Name: "push"}}},
	}}
	r, _ := run.New(plan)
	for _, step := range []struct {
		fact run.Fact
		want string
	}{
		{nil, "status=pending status/unit=pending sum=pending"},
		{run.Started{Task: "unit", Attempt: 1, At: at}, "status=running status/unit=running sum=pending"},
		{run.Ended{Task: "unit", Attempt: 1, Result: runners.Result{Class: runners.Succeeded}, At: at.Add(1500 * time.Millisecond)}, "status=running status/unit=succeeded status/lint=pending sum=pending"},
		{run.Started{Task: "lint", Attempt: 1, At: at}, "status=running status/unit=succeeded status/lint=running sum=pending"},
		{run.Ended{Task: "lint", Attempt: 1, Result: runners.Result{Class: runners.Failure, Reason: "exit code 2"}, At: at.Add(time.Second)}, "status=running status/unit=succeeded status/lint=ignored status/image=pending sum=pending"},
		{run.Started{Task: "image", Attempt: 1, At: at}, "status=running status/unit=succeeded status/lint=ignored status/image=running sum=pending"},
		{run.Ended{Task: "image", Attempt: 1, Result: runners.Result{Class: runners.Failure, Reason: "exit code 1"}, At: at.Add(time.Second)}, "status=failed status/unit=succeeded status/lint=ignored status/image=failed status/push=skipped sum=failed"},
	} {
		if step.fact != nil {
			next, _, err := r.Apply(step.fact)
			if err != nil {
				t.Fatal(err)
			}
			r = next
		}
		got := ""
		for i, l := range r.Listeners() {
			if i > 0 {
				got += " "
			}
			got += l.To + "=" + l.State
		}
		if got != step.want {
			t.Errorf("after %#v:\n got %s\nwant %s", step.fact, got, step.want)
		}
	}
	for i, want := range []string{"succeeded in 1.5s", "ignored: exit code 2 after 1s", "exit code 1 after 1s", "image failed"} {
		if got := r.Tasks[i].Line(); got != want {
			t.Errorf("%s: got %q, want %q", r.Tasks[i].Name, got, want)
		}
	}
	if run.ListenedTask(run.TaskListener("unit")) != "unit" || run.ListenedTask(run.StatusListener) != "" {
		t.Error("a task's listener is not found again")
	}
}
