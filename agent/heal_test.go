package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

// TestOneSickRun: a run that cannot be read does not keep the others from being healed.
func TestOneSickRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		sick := h.runner.gate("unit")
		defer func() { sick <- runners.Result{} }()
		a, _, kill := h.agent()
		h.push(a, pushTo("main"))
		synctest.Wait()
		kill()
		h.sick = h.theRun().Plan.ID
		forgotten := pushTo("main")
		forgotten.ID, forgotten.After = "forgotten", commit("b")
		h.push(nil, forgotten)
		b, stop, _ := h.agent()
		defer stop()
		h.runner.gate("unit")
		time.Sleep(2 * lease)
		synctest.Wait()
		for _, r := range h.runs() {
			if r.Plan.ID == h.sick {
				continue
			}
			if _, err := b.Cancel(t.Context(), r.Plan.ID, "carol"); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if runs := h.runs(); len(runs) != 2 || runs[1].State != run.Canceled {
			t.Errorf("got %d runs, want two, and the second moved", len(runs))
		}
	})
}

// TestPlanningEndsWithIntake: a silent git server does not hold up the end of the agent.
func TestPlanningEndsWithIntake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		h.files.slow = true
		a, stop, _ := h.agent()
		id := h.push(a, pushTo("main"))
		synctest.Wait()
		before := time.Now()
		stop()
		if took := time.Since(before); took > time.Second {
			t.Errorf("the agent's end took %s, want less than a second", took)
		}
		h.files.slow = false
		_, stop, _ = h.agent()
		defer stop()
		synctest.Wait()
		if rec, err := h.inbox.Get(t.Context(), id); err != nil || rec.Planned == nil || time.Since(before) > time.Second {
			t.Errorf("delivery %+v, %v after %s, want it planned by the next agent at once", rec.Planned, err, time.Since(before))
		}
	})
}

// TestLateTelling: a notice that an agent sent before it lost its lease reaches the forge after its successor's. The
// last one that the forge has must be the right one all the same.
func TestLateTelling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		hold := make(chan struct{})
		h.forge.hold = hold
		a, _, kill := h.agent()
		h.push(a, pushTo("main"))
		synctest.Wait()
		go kill()
		_, stop, _ := h.agent()
		defer stop()
		time.Sleep(3 * lease)
		close(hold)
		time.Sleep(3 * lease)
		synctest.Wait()
		told := h.forge.told()
		if len(told) < 2 || told[len(told)-1] != report.Succeeded || !h.theRun().Settled() {
			t.Errorf("the forge was told %v, settled %v; want succeeded last", told, h.theRun().Settled())
		}
	})
}

// TestRateLimitIsTheForges: after one 429 no run's status is tried before the forge's time has passed.
func TestRateLimitIsTheForges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		h.forge.fail = []error{report.RetryAfter(errWeather, time.Minute)}
		a, stop, _ := h.agent()
		defer stop()
		for _, id := range []string{"a", "b", "c"} {
			e := pushTo("main")
			e.ID, e.After = id, commit(id)
			h.push(a, e)
			time.Sleep(time.Second)
		}
		time.Sleep(50 * time.Second)
		synctest.Wait()
		if told := h.forge.told(); len(told) != 0 {
			t.Errorf("told %v within the minute, want nothing", told)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		succeeded := 0
		for _, s := range h.forge.told() {
			if s == report.Succeeded {
				succeeded++
			}
		}
		if succeeded < 3 {
			t.Errorf("told %v, want each of three runs to be green", h.forge.told())
		}
	})
}
