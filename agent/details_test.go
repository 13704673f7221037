package agent_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/runners"
)

// TestDetails says at length what failed, with the last words of its log and without what could mean something else there.
func TestDetails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, asking("bread", "tasks: true"), asking("cake", "tasks: true"))
		bread := h.runner.gate("of-bread")
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		time.Sleep(20 * time.Second)
		key := logs.Key{Task: "of-bread", Attempt: 1}
		for _, r := range h.runs() {
			if r.Plan.Pipeline == "bread" {
				key.Run = r.Plan.ID
			}
		}
		size, _, err := h.logs.Last(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Repeat("2026-11-23T09:00:00.5Z main early words\n", 1000) + "2026-11-23T09:00:01Z main \x1b[31mFAIL\x1b[0m ```TestX<b>\x07\n"
		if err := h.logs.Append(t.Context(), key, size, []byte(words)); err != nil {
			t.Fatal(err)
		}
		bread <- runners.Result{Class: runners.Failure, ExitCode: 1, Reason: "exit code 1 <b>*x*"}
		time.Sleep(time.Minute)
		synctest.Wait()
		said := 0
		for _, n := range h.forge.notices {
			if n.State != report.Failed {
				if n.Details != nil {
					t.Errorf("%s of %s has details", n.State, n.Context)
				}
				continue
			}
			said++
			text := n.Details(t.Context())
			if !strings.HasPrefix(text, `- **of-bread**: exit code 1 \<b\>\*x\* after `) ||
				!strings.Contains(text, "    FAIL ```TestX<b>\n") || !strings.Contains(text, "\n    early words\n") || strings.Count(text, "\n") > 26 {
				t.Errorf("details of %s:\n%s", n.Context, text)
			}
		}
		if said != 2 {
			t.Errorf("%d failures were told, want the run's and the task's", said)
		}
	})
}
