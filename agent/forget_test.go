package agent_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// TestOldRunsAreForgotten holds that a run and its logs go when it ended long enough ago, one that is younger or goes on
// stays, and that a forgetting that broke off between the two is done again.
func TestOldRunsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, strings.Replace(green, "timeout: 1h", "timeout: 100h", 1))
		h.keepRuns = 2 * time.Hour
		a, stop, _ := h.agent()
		defer h.clear()
		defer stop()
		h.pushes(a, 1)
		old := h.theRun()
		key := logs.Key{Run: old.Plan.ID, Task: "unit", Attempt: 1}
		end := h.runner.gate("unit")
		h.pushes(a, 1) // it goes on
		time.Sleep(time.Hour)
		h.want("before the time", run.Succeeded, run.Running)

		h.undeleted = 1
		time.Sleep(time.Hour + 11*time.Minute)
		synctest.Wait()
		if c, err := h.logs.Read(t.Context(), key, 0, 0); err != nil || len(c.Data) > 0 {
			t.Errorf("%d bytes of its log are left, %v", len(c.Data), err)
		}
		if _, err := h.store.Load(t.Context(), old.Plan.ID); err != nil {
			t.Errorf("the run went, and its deleting failed: %v", err)
		}
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if _, err := h.store.Load(t.Context(), old.Plan.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("load the old run: got %v, want %v", err, store.ErrNotFound)
		}
		h.want("after the time", run.Running)
		end <- ground
		time.Sleep(time.Hour)
		h.want("an hour after the end of the other, which is as old", run.Succeeded)
		time.Sleep(2 * time.Hour)
		h.want("three hours after it")
	})
}

// TestTooManyBytesAreForgotten holds that the oldest runs that have ended go while all of them hold too much, with their
// logs, and that one that goes on stays however much it holds.
func TestTooManyBytesAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, concurrent("{limit: 9}"))
		h.runsBytes = 2<<20 + 1<<19 // two and a half such logs
		a, stop, _ := h.agent()
		defer h.clear()
		defer stop()
		h.runner.gate("unit")
		h.pushes(a, 1) // it goes on
		h.runner.open("unit")
		h.pushes(a, 4)
		h.want("before a look", run.Running, run.Succeeded, run.Succeeded, run.Succeeded, run.Succeeded)
		runs := h.runs()
		for _, r := range runs { // late output is appended no more: another kind of text
			key := logs.Key{Run: r.Plan.ID, Task: "unit", Attempt: 1, Kind: logs.Manifest}
			if err := h.logs.Append(t.Context(), key, 0, make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		h.want("after a look", run.Running, run.Succeeded, run.Succeeded)
		if n := h.missed.Load(); n != 1 {
			t.Errorf("looked %d times for what a Millrace of before left, want once", n)
		}
		for i, r := range runs {
			size, err := h.logs.Size(t.Context(), r.Plan.ID, []logs.Key{{Run: r.Plan.ID, Task: "unit", Attempt: 1, Kind: logs.Manifest}})
			if gone := i == 1 || i == 2; err != nil || gone != (size == 0) {
				t.Errorf("run %d: its log holds %d bytes, %v; want it gone: %v", i, size, err, gone)
			}
		}
	})
}
