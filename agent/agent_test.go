package agent_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

const green = `
name: build
on: {push: {branches: [main]}}
timeout: 1h
stages:
  - name: check
    parallel: true
    tasks:
      - {name: unit, uses: script@v1, with: {SCRIPT: "true"}}
      - {name: lint, uses: script@v1, with: {SCRIPT: "true"}, ignore_failed: true}
  - name: build
    tasks:
      - {name: image, uses: script@v1, with: {SCRIPT: "true", ENV: {FLOUR: {output: unit.FLOUR}}}}
`

// TestPushToReport is the test named for the house: an event in at one end, 'succeeded' out at the other.
func TestPushToReport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		a, stop, _ := h.agent()
		defer stop()
		delivery := h.push(a, pushTo("main"))
		synctest.Wait()

		r := h.theRun()
		if r.State != run.Succeeded || !r.Settled() {
			t.Fatalf("the run is %s (%s), settled %v, want succeeded", r.State, r.Reason, r.Settled())
		}
		told := h.forge.told()
		if len(told) == 0 || told[len(told)-1] != report.Succeeded {
			t.Errorf("the forge was told %v, want succeeded last", told)
		}
		last := h.forge.notices[len(told)-1]
		want := report.Notice{
			ID: r.Plan.ID + "/status/succeeded", Run: r.Plan.ID, Forge: "gitea", Repo: "mill/flour", Commit: pushTo("main").After, Ref: "refs/heads/main",
			Pipeline: "build", Context: "millrace/build", State: report.Succeeded, Text: "succeeded in 0s", URL: "http://millrace.test/runs/" + r.Plan.ID, At: last.At,
		}
		if diff := cmp.Diff(want, last); diff != "" {
			t.Errorf("the last notice (-want +got):\n%s", diff)
		}
		plan, err := h.store.Plan(t.Context(), delivery)
		if err != nil || len(plan.Explanations) != 1 || plan.Explanations[0].Run != r.Plan.ID {
			t.Errorf("plan: %+v, %v, want one explanation that names the run", plan.Explanations, err)
		}
		chunk, err := h.logs.Read(t.Context(), logs.Key{Run: r.Plan.ID, Task: "image", Attempt: 1}, 0, 0)
		if err != nil || !chunk.Ended || !strings.Contains(string(chunk.Data), "FLOUR") || !strings.Contains(string(chunk.Data), "GIT_COMMIT_ID") {
			t.Errorf("log %q, ended %v, %v: want its environment, with an earlier task's output", chunk.Data, chunk.Ended, err)
		}
		if got := h.lengths(); got != [3]int{} {
			t.Errorf("in line for planning, working, reporting: %v, want nothing", got)
		}
	})
}

func TestRedAndIgnored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		h.runner.gate("unit") <- runners.Result{Class: runners.Failure, ExitCode: 2, Reason: "exit code 2"}
		h.runner.gate("lint") <- runners.Result{Class: runners.Failure, ExitCode: 1}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		synctest.Wait()
		r := h.theRun()
		got := map[string]run.State{"run": r.State}
		for _, task := range r.Tasks {
			got[task.Name] = task.State
		}
		want := map[string]run.State{"run": run.Failed, "unit": run.Failed, "lint": run.Failed, "image": run.Skipped}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
	})
}

func TestDeliveredTwiceRunsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		a, stop, _ := h.agent()
		defer stop()
		b, stopB, _ := h.agent()
		defer stopB()
		for range 5 {
			h.push(a, pushTo("main"))
			h.push(b, pushTo("main"))
		}
		synctest.Wait()
		if r := h.theRun(); r.State != run.Succeeded || h.runner.effects("unit") != 1 {
			t.Errorf("the run is %s, unit ran %d times, want succeeded and once", r.State, h.runner.effects("unit"))
		}
	})
}

// TestForgottenDelivery leaves out what the door does after its answer: the reaper finds the delivery.
func TestForgottenDelivery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		h.push(nil, pushTo("main"))
		_, stop, _ := h.agent()
		defer stop()
		time.Sleep(2 * lease)
		synctest.Wait()
		if r := h.theRun(); r.State != run.Succeeded {
			t.Errorf("the run is %s, want succeeded", r.State)
		}
	})
}

// TestWorkerDies kills the agent that watches a job. Another joins the same job and tells its end.
func TestWorkerDies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		end := h.runner.gate("unit")
		a, _, kill := h.agent()
		h.push(a, pushTo("main"))
		synctest.Wait()
		kill()
		_, stop, _ := h.agent()
		defer stop()
		time.Sleep(2 * lease)
		end <- runners.Result{Class: runners.Succeeded, Outputs: map[string]string{"FLOUR": "late"}}
		synctest.Wait()
		r := h.theRun()
		unit, _, _ := r.Task("unit")
		if r.State != run.Succeeded || h.runner.effects("unit") != 1 || unit.Worker != "agent-2" {
			t.Errorf("the run is %s, unit ran %d times, watched last by %s; want succeeded, once, agent-2", r.State, h.runner.effects("unit"), unit.Worker)
		}
	})
}

// TestHandBack stops an agent as SIGTERM does while a job runs: it ends at once, and the next agent has the attempt
// at once, not after a lease's time.
func TestHandBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		end := h.runner.gate("unit")
		a, stop, _ := h.agent()
		h.push(a, pushTo("main"))
		synctest.Wait()
		before := time.Now()
		stop()
		_, stop2, _ := h.agent()
		defer stop2()
		end <- runners.Result{Class: runners.Succeeded, Outputs: map[string]string{"FLOUR": "x"}}
		synctest.Wait()
		if r := h.theRun(); r.State != run.Succeeded || h.runner.effects("unit") != 1 {
			t.Errorf("the run is %s, unit ran %d times, want succeeded and once", r.State, h.runner.effects("unit"))
		}
		if took := time.Since(before); took > time.Second {
			t.Errorf("handing over took %s, want no waiting for a lease", took)
		}
	})
}

func TestCancelEndsTheJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		h.runner.gate("unit")
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		synctest.Wait()
		if _, err := a.Cancel(t.Context(), h.theRun().Plan.ID, "carol"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r := h.theRun()
		unit, _, _ := r.Task("unit")
		if r.State != run.Canceled || unit.State != run.Canceled || !r.Settled() {
			t.Errorf("the run is %s, unit %s, settled %v; want canceled", r.State, unit.State, r.Settled())
		}
		if told := h.forge.told(); told[len(told)-1] != report.Canceled {
			t.Errorf("the forge was told %v, want canceled last", told)
		}
	})
}

// TestCanceledWhileNobodyWatches cancels while the worker is dead: the next holder of the attempt ends its job.
func TestCanceledWhileNobodyWatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		h.runner.gate("unit")
		a, _, kill := h.agent()
		h.push(a, pushTo("main"))
		synctest.Wait()
		kill()
		id := h.theRun().Plan.ID
		h.runner.say(runners.JobID(id, 1, "unit"), "last words\n")
		if _, err := a.Cancel(t.Context(), id, "carol"); err != nil {
			t.Fatal(err)
		}
		_, stop, _ := h.agent()
		defer stop()
		time.Sleep(2 * lease)
		synctest.Wait()
		if r := h.theRun(); r.State != run.Canceled {
			t.Errorf("the run is %s, want canceled", r.State)
		}
		chunk, err := h.logs.Read(t.Context(), logs.Key{Run: id, Task: "unit", Attempt: 1}, 0, 0)
		if err != nil || !chunk.Ended || !strings.Contains(string(chunk.Data), "last words") {
			t.Errorf("log %q, ended %v, %v: want all that the job said", chunk.Data, chunk.Ended, err)
		}
	})
}

func TestRunExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		h.runner.gate("unit")
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if r := h.theRun(); r.State != run.Running {
			t.Fatalf("after 59 minutes the run is %s, want running", r.State)
		}
		time.Sleep(time.Minute + time.Second) // not a round of the reaper later
		synctest.Wait()
		if r := h.theRun(); r.State != run.Failed || r.Reason != "timed out after 1h" {
			t.Errorf("the run is %s (%s), want failed, timed out after 1h", r.State, r.Reason)
		}
	})
}

// TestNobodyTakesIt: a run whose runner is gone is not waiting for ever.
func TestNobodyTakesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		h.capacity = 0
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		time.Sleep(23 * time.Hour)
		if r := h.theRun(); r.State != run.Waiting {
			t.Fatalf("after 23 hours the run is %s, want waiting", r.State)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if r := h.theRun(); r.State != run.Failed || !strings.Contains(r.Reason, "not started within 24h") || !r.Settled() {
			t.Errorf("after 25 hours the run is %s (%s), want failed and told", r.State, r.Reason)
		}
	})
}

func (h *house) lengths() [3]int {
	h.t.Helper()
	plan, err1 := h.plan.Len(h.t.Context())
	work, err2 := h.work.Len(h.t.Context())
	tell, err3 := h.report.Len(h.t.Context())
	if err1 != nil || err2 != nil || err3 != nil {
		h.t.Fatal(err1, err2, err3)
	}
	return [3]int{plan.Ready + plan.Leased, work.Ready + work.Leased, tell.Ready + tell.Leased}
}
