package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

const retried = `
name: build
on: push
stages:
  - name: a
    tasks:
      - {name: unit, uses: script@v1, with: {SCRIPT: "true"}, retry: {max: 2, backoff: 30s}}
`

// TestRetry fails twice: each next attempt comes after its backoff, by whichever agent is there then.
func TestRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, retried)
		gate := h.runner.gate("unit")
		gate <- runners.Result{Class: runners.Failure, ExitCode: 2, Reason: "exit code 2"}
		a, _, kill := h.agent()
		h.push(a, pushTo("main"))
		synctest.Wait()
		r := h.theRun()
		if task := r.Tasks[0]; r.State != run.Running || task.State != run.Waiting || task.Attempt != 2 {
			t.Fatalf("the run is %s, its task %s in attempt %d: want it running, waiting for its second", r.State, task.State, task.Attempt)
		}
		if n, err := h.work.Len(t.Context()); err != nil || n.Leased != 0 {
			t.Errorf("a task that waits: %+v in line, error %v: want no worker held", n, err)
		}
		kill()
		_, stop, _ := h.agent()
		defer stop()
		gate <- runners.Result{Class: runners.Failure, ExitCode: 3, StartedAt: time.Now()}
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if got := h.runner.effects("unit"); got != 1 {
			t.Fatalf("the task ran %d times before its backoff was over, want once", got)
		}
		time.Sleep(2 * lease)
		gate <- runners.Result{Class: runners.Succeeded}
		time.Sleep(time.Minute + 2*lease)
		synctest.Wait()
		r = h.theRun()
		if r.State != run.Succeeded || h.runner.effects("unit") != 3 {
			t.Fatalf("the run is %s (%s) after %d attempts, want succeeded after 3", r.State, r.Reason, h.runner.effects("unit"))
		}
		var codes []int
		for _, p := range r.Tasks[0].Past {
			codes = append(codes, p.ExitCode)
		}
		if diff := cmp.Diff([]int{2, 3}, codes); diff != "" {
			t.Errorf("exit codes of the earlier attempts (-want +got):\n%s", diff)
		}
	})
}

// TestCancelWhileItWaits ends a run at once whose only task waits for its next attempt.
func TestCancelWhileItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, retried)
		h.runner.gate("unit") <- runners.Result{Class: runners.Failure, ExitCode: 2}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		synctest.Wait()
		if _, err := a.Cancel(t.Context(), h.theRun().Plan.ID, "carol"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if r := h.theRun(); r.State != run.Canceled || !r.Settled() || h.runner.effects("unit") != 1 {
			t.Errorf("the run is %s, settled %v, after %d attempts: want canceled after one", r.State, r.Settled(), h.runner.effects("unit"))
		}
		if got := h.lengths(); got != [3]int{} {
			t.Errorf("in line for planning, working, reporting: %v, want nothing", got)
		}
	})
}
