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
