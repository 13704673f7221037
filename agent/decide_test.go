package agent_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/triggers"
)

func TestBrokenDefinitionIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green, "name: bad\nstagse: []\n", strings.Replace(green, "name: build", "name: bad", 1))
		h.files.bad = []triggers.Unreadable{{Path: ".millrace/link.yaml", Reason: "it is a symbolic link"}}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		synctest.Wait()
		states := map[string]run.State{}
		for _, r := range h.runs() {
			states[r.Plan.Pipeline] = r.State
			if !r.Settled() {
				t.Errorf("%s is not settled", r.Plan.Pipeline)
			}
		}
		want := map[string]run.State{"build": run.Succeeded, "bad": run.Failed, "2": run.Failed, "link": run.Failed}
		if fmt.Sprint(states) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", states, want)
		}
		broken := 0
		for _, n := range h.forge.notices {
			if n.State == report.Broken {
				broken++
				if !strings.Contains(n.Text, ".yaml:") {
					t.Errorf("the status of %s says %q, want the place", n.Pipeline, n.Text)
				}
			}
		}
		if broken != 3 {
			t.Errorf("told %d broken definitions, want 3: one is misspelt, one has its name (and is told under its file's), one is a link", broken)
		}
	})
}

func TestNothingToRun(t *testing.T) {
	t.Parallel()
	fork := pushTo("main")
	fork.Kind, fork.Request = triggers.PullRequest, &triggers.Request{Number: 7, Action: "opened", Fork: true}
	stranger := pushTo("main")
	stranger.Repo.Name = "other/flour"
	for name, c := range map[string]struct {
		event  triggers.Event
		reason string
	}{
		"branch":   {pushTo("dev"), `branch "dev"`},
		"fork":     {fork, "from a fork: not trusted"},
		"deletion": {triggers.Event{ID: "gone", Kind: triggers.Deletion, Repo: fork.Repo, Ref: "refs/heads/x"}, "a deletion"},
		"stranger": {stranger, "not among those that forge gitea is configured for"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, green)
				a, stop, _ := h.agent()
				defer stop()
				id := h.push(a, c.event)
				synctest.Wait()
				rec, err := h.inbox.Get(t.Context(), id)
				if err != nil || rec.Planned == nil {
					t.Fatalf("delivery %+v, %v: want it planned", rec.Planned, err)
				}
				why := rec.Planned.Error
				if plan, err := h.store.Plan(t.Context(), id); err == nil {
					why += plan.Explanations[0].Reason
				}
				if !strings.Contains(why, c.reason) || len(h.runs()) != 0 {
					t.Errorf("got %q and %d runs, want %q and none", why, len(h.runs()), c.reason)
				}
			})
		})
	}
}

// TestGitServerIsDown: weather is waited for, and given up after an hour; what will never work is told at once.
func TestGitServerIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		h.files.err = errors.New("connection refused")
		a, stop, _ := h.agent()
		defer stop()
		id := h.push(a, pushTo("main"))
		time.Sleep(30 * time.Minute)
		rec, err := h.inbox.Get(t.Context(), id)
		if err != nil || rec.Planned != nil {
			t.Fatalf("after 30 minutes the delivery is planned (%+v, %v), want it tried still", rec.Planned, err)
		}
		time.Sleep(31 * time.Minute)
		synctest.Wait()
		rec, err = h.inbox.Get(t.Context(), id)
		if err != nil || rec.Planned == nil || !strings.Contains(rec.Planned.Error, "connection refused") {
			t.Errorf("after an hour: %+v, %v, want the error on the delivery", rec.Planned, err)
		}
	})
}

func TestStatusIsRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		h.forge.fail = []error{errWeather, report.RetryAfter(errWeather, 30*time.Second), errWeather}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		told := h.forge.told()
		if len(told) == 0 || told[len(told)-1] != report.Succeeded || !h.theRun().Settled() {
			t.Errorf("told %v, settled %v, want succeeded in the end", told, h.theRun().Settled())
		}
	})
}

func TestStatusIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		refused := report.Permanent(errors.New("the token may not write statuses"))
		h.forge.fail = []error{refused, refused, refused}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		synctest.Wait()
		r := h.theRun()
		if r.State != run.Succeeded || !r.Settled() || r.Told[0].Error != "the token may not write statuses" {
			t.Errorf("the run is %s, settled %v, told %+v; want it to say loudly that nobody was told", r.State, r.Settled(), r.Told)
		}
	})
}
