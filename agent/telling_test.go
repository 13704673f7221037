package agent_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace-ci/millrace/agent/mask"
	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

// TestTellingsAreRecorded: the run says what was told of it, to whom, with which answer, and after how many tries; while
// the forge is away, too.
func TestTellingsAreRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		refusal := &report.Refusal{Status: 502, Reason: "upstream is away"}
		for range 20 {
			h.forge.fail = append(h.forge.fail, fmt.Errorf("set status: %w", refusal))
		}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		during := h.theRun()
		last := during.Told[len(during.Told)-1]
		if len(during.Told) > 2 || !last.Again || last.Tries < 2 || last.Status != 502 || last.Answer != "upstream is away" || last.Error == "" || last.At.IsZero() {
			t.Errorf("while the forge is away: got %+v, want a record that counts", during.Told)
		}
		if len(during.GivenUp()) > 0 || during.Settled() {
			t.Error("it is given up, or settled")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		r := h.theRun()
		got := r.Told[len(r.Told)-1]
		want := run.Told{To: run.StatusListener, State: "succeeded", Context: "millrace/build", Text: r.Line(), Status: 201}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(run.Told{}, "At", "Took", "Tries")); diff != "" || !r.Settled() {
			t.Errorf("settled %v, the record (-want +got):\n%s", r.Settled(), diff)
		}
		tries := r.ToldBefore
		for _, told := range r.Told {
			tries += told.Tries
		}
		if told := len(h.forge.told()); tries != 20+told-1 { // The last one confirms, and says nothing new.
			t.Errorf("%d tries are recorded, and there were 20, %d, and one to confirm", tries, told-1)
		}
	})
}

// TestRecordsHideSecrets: neither what was said nor what was answered shows what this process knows to be secret.
func TestRecordsHideSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const secret = "hush-hush-hush"
		h := newHouse(t, asking("bread", "tasks: true"))
		var err error
		if h.known, err = mask.New(secret); err != nil {
			t.Fatal(err)
		}
		h.forge.fail = []error{report.Permanent(&report.Refusal{Status: 403, Reason: "no " + secret})}
		h.runner.gate("of-bread") <- runners.Result{Class: runners.Failure, ExitCode: 1, Reason: "no " + secret}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		time.Sleep(time.Minute)
		synctest.Wait()
		texts, answers := 0, 0
		for _, told := range h.theRun().Told {
			if strings.Contains(fmt.Sprint(told), secret) {
				t.Errorf("shown in %+v", told)
			}
			if strings.HasPrefix(told.Text, "no ") {
				texts++
			}
			if strings.HasPrefix(told.Answer, "no ") {
				answers++
			}
		}
		if texts == 0 || answers == 0 {
			t.Errorf("%d texts and %d answers, want some of each", texts, answers)
		}
	})
}

// TestRefusalIsRecorded: what is given up says why, and counts the try that is made when somebody retries it.
func TestRefusalIsRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		no := report.Permanent(errors.New("the token may not write statuses"))
		h.forge.fail = []error{no, no, no}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		synctest.Wait()
		lost := h.theRun().GivenUp()
		if len(lost) != 1 || lost[0].Error != "the token may not write statuses" || lost[0].Tries != 1 || lost[0].Again {
			t.Fatalf("given up: %+v, want one, and why", lost)
		}
		h.forge.fail = nil
		h.retry(a, "report", h.theRun().Plan.ID)
		synctest.Wait()
		r := h.theRun()
		if last := r.Told[len(r.Told)-1]; last.Tries != 2 || last.Error != "" || len(r.GivenUp()) > 0 || !r.Settled() {
			t.Errorf("after the retry: %+v", last)
		}
	})
}
