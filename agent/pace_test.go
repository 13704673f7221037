package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/runners"
)

// TestTellingsArePaced: what comes soon after the first telling waits for its time, and the end waits for nothing.
func TestTellingsArePaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		unit := h.runner.gate("unit")
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		time.Sleep(4 * time.Second)
		synctest.Wait()
		first := h.forge.told()
		if len(first) != 1 { // pending or, where the worker was faster than the reporter, running
			t.Errorf("within the first seconds: told %v, want one state", first)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if told := h.forge.told(); len(told) > 2 || told[len(told)-1] != report.Running {
			t.Errorf("after them: told %v, want running last", told)
		}
		unit <- runners.Result{Class: runners.Failure, ExitCode: 1}
		synctest.Wait()
		if told := h.forge.told(); len(told) > 3 || told[len(told)-1] != report.Failed {
			t.Errorf("at the end: told %v, want failed last", told)
		}
	})
}

// TestQuickRun is over before its running would be due: that is left out, and the end told at once.
func TestQuickRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		synctest.Wait()
		told := h.forge.told()
		if len(told) > 2 || told[len(told)-1] != report.Succeeded {
			t.Errorf("told %v, want succeeded last, and at most one state before", told)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if later := h.forge.told(); len(later) != len(told) {
			t.Errorf("a minute later: told %v", later)
		}
	})
}

// TestLeftOut has a listener leave out what is not final: that is no failure, and nothing to be retried.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		h.forge.fail = []error{report.Omit(errWeather)}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		synctest.Wait()
		if diff := cmp.Diff([]report.State{report.Succeeded}, h.forge.told()); diff != "" {
			t.Errorf("(-want +told):\n%s", diff)
		}
		if r := h.theRun(); r.Told[0].Error != "" || !r.Settled() {
			t.Errorf("told %+v, settled %v", r.Told, r.Settled())
		}
	})
}

// TestDeadForgeIsAskedLessAndLess counts how often a forge is asked that is away for an hour, by a run and by ten.
func TestDeadForgeIsAskedLessAndLess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		for range 1000 {
			h.forge.fail = append(h.forge.fail, errWeather)
		}
		a, stop, _ := h.agent()
		defer stop()
		for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
			e := pushTo("main")
			e.ID, e.After = id, commit(id)
			h.push(a, e)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		asked := 1000 - h.forge.left()
		if asked < 60 || asked > 200 {
			t.Errorf("asked %d times in an hour, want about once a minute", asked)
		}
	})
}

// left is how many of its failures the forge has still.
func (f *fakeForge) left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.fail)
}
