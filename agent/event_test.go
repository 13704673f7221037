package agent_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/millrace-ci/millrace/triggers"
)

// TestLongEvent gives a task an event that would be too long for its job: it has the beginning of it.
func TestLongEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, retried)
		runner := &leaky{fakeRunner: h.runner}
		h.as = runner
		a, stop, _ := h.agent()
		defer stop()
		e := pushTo("main")
		e.Message = "Grind finer\n" + strings.Repeat("<é", 20<<10)
		e.Files = &[]string{"mill.go"}
		h.push(a, e)
		synctest.Wait()
		var got triggers.Event
		if err := json.Unmarshal(runner.job.Event, &got); err != nil || len(runner.job.Event) > 64<<10 {
			t.Fatalf("the task's event has %d bytes, error %v", len(runner.job.Event), err)
		}
		if got.Files != nil || got.After != e.After || got.Message == "" || !strings.HasPrefix(e.Message, got.Message) {
			t.Errorf("got files %v, commit %s, message %.40q", got.Files, got.After, got.Message)
		}
	})
}
