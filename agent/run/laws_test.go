package run_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

// TestLaws tells random facts, sensible and not, to random runs, and checks after each what must hold of every run.
func TestLaws(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
		live(t, draw, 40)
	})
}

// FuzzFacts does the same with choices that the fuzzer makes.
func FuzzFacts(f *testing.F) {
	f.Add([]byte{2, 1, 2, 0, 0, 0, 1, 0, 2, 0, 0})
	f.Add([]byte("a run of many facts, told in no order, some of them twice"))
	f.Fuzz(func(t *testing.T, choices []byte) {
		if len(choices) > 1000 {
			return
		}
		draw := func(n int) int {
			if len(choices) == 0 {
				return 0
			}
			c := int(choices[0]) % n
			choices = choices[1:]
			return c
		}
		live(t, draw, len(choices)/3)
	})
}

// live makes a run and tells it n facts. draw(n) chooses from 0 to n-1.
func live(t rapid.TB, draw func(n int) int, n int) {
	plan := &run.Snapshot{ID: "law", Timeout: time.Hour, CreatedAt: time.Unix(1e9, 0).UTC()}
	if draw(2) == 0 {
		plan.Lane = &run.LanePlan{Name: "lane"}
	}
	plan.Status = pipeline.Status{Tasks: draw(2) == 0, Sum: draw(2) == 0}
	names := []string{"a", "b", "c", "d", "e"}
	for used := 0; used < len(names); {
		stage := run.StagePlan{Parallel: draw(2) == 0}
		for range min(1+draw(3), len(names)-used) {
			task := run.TaskPlan{Name: names[used], IgnoreFailed: draw(3) == 0}
			task.Retry.Max = draw(3)
			stage.Tasks = append(stage.Tasks, task)
			used++
		}
		plan.Stages = append(plan.Stages, stage)
	}
	r, effects := run.New(plan)
	checkRun(t, r, effects)
	at := plan.CreatedAt
	for range n {
		at = at.Add(time.Second)
		r = checkFact(t, r, anyFact(draw, names, at))
	}
}

func anyFact(draw func(int) int, names []string, at time.Time) run.Fact {
	task := names[draw(len(names))]
	attempt := 1
	if draw(3) == 2 {
		attempt = draw(4)
	}
	switch draw(24) {
	case 18, 19, 20, 21, 22:
		return run.Admitted{At: at}
	case 23:
		return run.Dropped{Reason: "the lane is full", At: at}
	case 0, 1, 2, 3, 4:
		return run.Started{Task: task, Attempt: attempt, Worker: names[draw(2)], At: at}
	case 5, 6, 7:
		return run.Created{Task: task, Attempt: attempt, UID: names[draw(2)], At: at}
	case 8, 9, 10, 11:
		classes := []runners.Class{runners.Succeeded, runners.Succeeded, runners.Failure, runners.Lost, runners.Canceled, runners.Infrastructure}
		class := classes[draw(len(classes))]
		return run.Ended{Task: task, Attempt: attempt, Result: runners.Result{Class: class}, At: at}
	case 12:
		return run.Gone{Task: task, Attempt: attempt, At: at}
	case 13:
		return anyTold(draw, task, "running", at)
	case 14:
		return run.Expired{At: at}
	case 15:
		return run.Due{Task: task, Attempt: attempt, At: at.Add(time.Hour)}
	case 16:
		return run.Wrote{Task: task, Attempt: attempt, Outputs: map[string]string{"A": names[draw(2)]}, At: at}
	}
	if draw(4) > 0 {
		return anyTold(draw, task, "succeeded", at)
	}
	return run.Cancel{By: "carol", Reason: "canceled by carol", At: at}
}

// anyTold is a try to tell a listener that there is or is not, that worked, is to be repeated, or was given up; or that
// what was given up is to be told after all.
func anyTold(draw func(int) int, task, state string, at time.Time) run.Fact {
	told := run.Told{
		To: run.StatusListener, State: state, At: at, Context: "millrace/law", Text: "so it is", Took: time.Second, Status: 201,
	}
	told.To = []string{run.StatusListener, run.StatusListener, run.TaskListener(task), run.SumListener}[draw(4)]
	switch draw(8) {
	case 0:
		told.Error, told.Again, told.Status = "answered 502", true, 502
	case 1:
		told.Error, told.Status, told.Answer = "answered 403", 403, "no"
	case 2:
		return run.Retell{To: told.To, At: at}
	case 3:
		told.To = "nobody"
	}
	return told
}

// checkFact tells one fact and checks the laws that are about telling.
func checkFact(t rapid.TB, r run.Run, f run.Fact) run.Run {
	before := r
	before.Tasks = append([]run.Task(nil), r.Tasks...)
	next, effects, err := r.Apply(f)
	if diff := cmp.Diff(before, r); diff != "" {
		t.Fatalf("%#v changed the run that it was told to:\n%s", f, diff)
	}
	if err != nil {
		if !errors.Is(err, run.ErrStale) && !errors.Is(err, run.ErrImpossible) {
			t.Fatalf("%#v: %v is neither stale nor impossible", f, err)
		}
		if len(effects) > 0 || !next.Same(r) {
			t.Fatalf("%#v: an error came with effects or a change", f)
		}
		return r
	}
	again, more, err := next.Apply(f)
	if err != nil || len(more) > 0 || !again.Same(next) {
		t.Fatalf("%#v told twice: err %v, effects %v\n%s", f, err, more, cmp.Diff(next, again))
	}
	for i := range r.Tasks {
		if r.Tasks[i].State.Final() && r.Tasks[i].State != next.Tasks[i].State {
			t.Fatalf("%#v: final %s became %s", f, r.Tasks[i].State, next.Tasks[i].State)
		}
	}
	if r.State.Final() && (r.State != next.State || !r.EndedAt.Equal(next.EndedAt)) {
		t.Fatalf("%#v: a final run changed from %s to %s", f, r.State, next.State)
	}
	checkRun(t, next, effects)
	var newly []run.Effect
	for _, e := range next.Outstanding() {
		if !slices.Contains(r.Outstanding(), e) {
			newly = append(newly, e)
		}
	}
	if diff := cmp.Diff(newly, effects); diff != "" {
		t.Fatalf("%#v: effects are not what is newly outstanding (-newly +effects):\n%s", f, diff)
	}
	return next
}

// checkRun checks the laws that are about a run as it stands.
func checkRun(t rapid.TB, r run.Run, effects []run.Effect) {
	outstanding := map[run.Effect]bool{}
	for _, e := range r.Outstanding() {
		if outstanding[e] {
			t.Fatalf("%#v is outstanding twice", e)
		}
		outstanding[e] = true
	}
	for _, e := range effects {
		if !outstanding[e] {
			t.Fatalf("effect %#v is not outstanding", e)
		}
	}
	if past := len(r.Told) - len(r.Listeners()); past > 20 || r.ToldBefore > 0 && len(r.Told) <= 20 {
		t.Fatalf("%d records are kept of what %d listeners were told, and %d are not", len(r.Told), len(r.Listeners()), r.ToldBefore)
	}
	all, busy := true, false
	for _, task := range r.Tasks {
		all = all && task.State.Final()
		busy = busy || task.State == run.Waiting || task.State == run.Queued || task.State == run.Running || task.State == run.Canceling
		if len(task.Past) != max(task.Attempt, 1)-1 || (task.State == run.Waiting) == task.DueAt.IsZero() {
			t.Fatalf("%s is %s in attempt %d, with %d before it, due at %v", task.Name, task.State, task.Attempt, len(task.Past), task.DueAt)
		}
		if task.State.Final() == task.EndedAt.IsZero() {
			t.Fatalf("%s is %s and ended at %v", task.Name, task.State, task.EndedAt)
		}
	}
	if r.State.Final() != all || r.State.Final() == r.EndedAt.IsZero() {
		t.Fatalf("the run is %s, ended at %v, its tasks final: %v", r.State, r.EndedAt, all)
	}
	if !all && !busy && !outstanding[run.Admit{Lane: "lane"}] {
		t.Fatalf("the run is stuck: %s, and no task is waiting, queued, running or canceling", r.State)
	}
	if r.Held() && (busy || r.State != run.Waiting || r.Reason == "" || !r.Deadline().IsZero()) {
		t.Fatalf("the run was not admitted and is %s (%s), tasks under way: %v, until %v", r.State, r.Reason, busy, r.Deadline())
	}
}
