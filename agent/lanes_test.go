package agent_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

// ground is a task's end with which the pipeline green goes on.
var ground = runners.Result{Class: runners.Succeeded, Outputs: map[string]string{"FLOUR": "fine"}}

// clear ends the jobs that a test leaves behind.
func (h *house) clear() {
	for id := range h.runner.jobs {
		_ = h.runner.Stop(h.t.Context(), id)
	}
}

// concurrent is the pipeline green with a word about concurrency.
func concurrent(says string) string { return "concurrency: " + says + "\n" + green }

// pushes pushes to main so often, each a commit of its own, a second apart, and lets each push take its way.
func (h *house) pushes(a *agent.Agent, n int) {
	h.t.Helper()
	for range n {
		h.made++
		e := pushTo("main")
		e.ID, e.After = fmt.Sprint("push-", h.made), fmt.Sprintf("%040d", h.made)
		h.push(a, e)
		h.after(time.Second)
	}
}

// states is how all runs are, oldest first.
func (h *house) states() []run.State {
	h.t.Helper()
	var states []run.State
	for _, r := range h.runs() {
		states = append(states, r.State)
	}
	return states
}

func (h *house) want(what string, states ...run.State) {
	h.t.Helper()
	if diff := cmp.Diff(states, h.states()); diff != "" {
		h.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestLaneGoesOn holds that the next run starts when the one before it ends, and not at the reaper's next round.
func TestLaneGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		end := h.runner.gate("unit")
		a, stop, _ := h.agent()
		defer h.clear()
		defer stop()
		h.pushes(a, 3)
		h.want("after three pushes", run.Running, run.Waiting, run.Waiting)
		if r := h.runs()[1]; r.Reason != `waits for earlier runs in lane "build refs/heads/main"` {
			t.Errorf("the second run %s", r.Reason)
		}
		for n := 1; n <= 3; n++ {
			before := time.Now()
			end <- ground
			synctest.Wait()
			if got := h.runner.effects("unit"); got != min(n+1, 3) || time.Since(before) > 0 {
				t.Errorf("%d runs began when %d had ended, after %s", got, n, time.Since(before))
			}
		}
		h.want("in the end", run.Succeeded, run.Succeeded, run.Succeeded)
	})
}

// TestLaneCancelsRunning holds that a newer run starts when the job of the older one is gone, and that runs between them
// never start.
func TestLaneCancelsRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, concurrent("{when_full: cancel_running}"))
		h.runner.gate("unit")
		a, stop, _ := h.agent()
		defer h.clear()
		defer stop()
		h.pushes(a, 3)
		h.want("after three pushes", run.Canceled, run.Canceled, run.Running)
		if runs := h.runs(); runs[1].Reason != "superseded by run "+runs[2].Plan.ID || runs[0].EndedAt.After(runs[2].AdmittedAt) {
			t.Errorf("the second run was %s; the first ended at %v, the third was admitted at %v", runs[1].Reason, runs[0].EndedAt, runs[2].AdmittedAt)
		}
		for _, r := range h.runs()[:2] {
			if !r.Settled() {
				t.Errorf("of run %s that is %s the forge was not told", r.Plan.ID, r.State)
			}
		}
	})
}

// TestLaneDrops holds that a run that finds its lane full is over at once, and told.
func TestLaneDrops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, concurrent("{when_full: drop}"))
		end := h.runner.gate("unit")
		a, stop, _ := h.agent()
		defer h.clear()
		defer stop()
		h.pushes(a, 2)
		h.want("after two pushes", run.Running, run.Canceled)
		if r := h.runs()[1]; !strings.Contains(r.Reason, "was full") || !r.Settled() {
			t.Errorf("the second run was %s, settled %v", r.Reason, r.Settled())
		}
		end <- ground
		synctest.Wait()
		h.pushes(a, 1)
		h.want("after the third push", run.Succeeded, run.Canceled, run.Running)
	})
}

// TestLaneIsHealed kills the agent of a lane while its run ends: nobody admits the next one but the reaper of another.
func TestLaneIsHealed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		h.runner.gate("unit")
		a, _, kill := h.agent()
		h.pushes(a, 4)
		kill()
		first := h.runs()[0]
		next, _, err := first.Apply(run.Cancel{By: "carol", Reason: "canceled by carol", At: time.Now().UTC()})
		if err == nil {
			next, _, err = next.Apply(run.Gone{Task: "unit", Attempt: 1, At: time.Now().UTC()})
		}
		if lint, _, _ := next.Task("lint"); err == nil && !lint.State.Final() {
			next, _, err = next.Apply(run.Gone{Task: "lint", Attempt: 1, At: time.Now().UTC()})
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, others, err := h.store.Save(t.Context(), first, next); err != nil || !others || !next.State.Final() {
			t.Fatalf("%v, others %v, the first run is %s", err, others, next.State)
		}
		_, stop, _ := h.agent()
		defer h.clear()
		defer stop()
		time.Sleep(2 * lease)
		synctest.Wait()
		h.want("after the reaper's round", run.Canceled, run.Running, run.Waiting, run.Waiting)
	})
}

// TestLaneCosts holds that a run that is alone in its lane is not looked for there, and that the reaper looks at a lane
// once in a round, however many wait.
func TestLaneCosts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		a, stop, _ := h.agent()
		defer h.clear()
		defer stop()
		h.pushes(a, 2)
		h.want("after two pushes, each alone", run.Succeeded, run.Succeeded)
		if looks := h.looks.Load(); looks != 0 {
			t.Errorf("the lane was looked at %d times, want never", looks)
		}
		h.runner.gate("unit")
		h.pushes(a, 5)
		h.looks.Store(0)
		time.Sleep(10*lease + lease/2)
		synctest.Wait()
		if looks := h.looks.Load(); looks < 9 || looks > 11 {
			t.Errorf("the lane was looked at %d times in ten rounds, want ten", looks)
		}
	})
}

// TestWaitingInALaneTakesItsTime holds that who waits for others does not expire as one whom no worker takes.
func TestWaitingInALaneTakesItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, strings.Replace(green, "timeout: 1h", "timeout: 100h", 1))
		end := h.runner.gate("unit")
		a, stop, _ := h.agent()
		defer h.clear()
		defer stop()
		h.pushes(a, 2)
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		h.want("after 25 hours", run.Running, run.Waiting)
		end <- ground
		synctest.Wait()
		h.want("when the first has ended", run.Succeeded, run.Running)
	})
}

// TestUnreadableRunHoldsItsPlace: a run that cannot be read jams neither those that its lane has room for beside it nor
// other lanes, and is said to be there; but nobody gets its place.
func TestUnreadableRunHoldsItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		h := newHouse(t, strings.Replace(concurrent("{limit: 2}"), "branches: [main]", "branches: [main, other]", 1))
		h.log = slog.New(slog.NewTextHandler(&said, nil))
		h.runner.gate("unit")
		a, _, kill := h.agent()
		defer h.clear()
		h.pushes(a, 4)
		h.want("after four pushes", run.Running, run.Running, run.Waiting, run.Waiting)
		kill()
		h.sick = h.runs()[0].Plan.ID
		a, stop, _ := h.agent()
		defer stop()
		h.after(3 * lease)
		h.want("while nobody can tell how the first is", run.Running, run.Running, run.Waiting, run.Waiting)
		_, err := a.Cancel(t.Context(), h.runs()[1].Plan.ID, "carol")
		h.after(3 * lease)
		h.want("when the second was canceled", run.Running, run.Canceled, run.Running, run.Waiting)
		if text := said.String(); err != nil || !strings.Contains(text, "holds its place in a lane") || !strings.Contains(text, h.sick) {
			t.Errorf("%v; said %s", err, text)
		}
		h.push(a, pushTo("other"))
		h.after(time.Second)
		h.want("another lane", run.Running, run.Canceled, run.Running, run.Waiting, run.Running)
	})
}
