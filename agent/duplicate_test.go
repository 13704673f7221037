package agent_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/triggers"
)

// everything asks for each kind of event that there is.
const everything = `
name: build
on: {push: {}, tag: {}, pull_request: {actions: ["**"]}}
stages:
  - name: check
    tasks: [{name: unit, uses: script@v1, with: {SCRIPT: "true"}}]
`

// commit is the id of a commit that a letter stands for.
func commit(letter string) string { return strings.Repeat(letter, 40)[:40] }

// sent is an event and the hook that told it.
type sent struct {
	triggers.Event
	hook string
}

// moved is the nth event of main from one commit to another.
func moved(nth int, from, to, hook string) sent {
	e := pushTo("main")
	e.ID, e.Before, e.After = fmt.Sprint("moved-", nth), from, to
	if to == "" {
		e.Kind = triggers.Deletion
	}
	return sent{e, hook}
}

func tagged(s sent) sent {
	s.Ref, s.Branch, s.Tag = "refs/tags/v1", "", "v1"
	if s.Kind == triggers.Push {
		s.Kind = triggers.Tag
	}
	return s
}

func asked(s sent) sent {
	s.Kind, s.Ref = triggers.PullRequest, "refs/pull/7/head"
	s.Request = &triggers.Request{Number: 7, Action: "labeled", Status: "open", SourceBranch: "main", TargetBranch: "prod"}
	return s
}

// deliver hands over a delivery and waits until it is planned.
func (h *house) deliver(a *agent.Agent, s sent) string {
	h.t.Helper()
	h.hook = s.hook
	id := h.push(a, s.Event)
	synctest.Wait()
	return id
}

// explained is why a delivery led to what it did.
func (h *house) explained(id string) string {
	h.t.Helper()
	plan, err := h.store.Plan(h.t.Context(), id)
	if err != nil || len(plan.Explanations) != 1 {
		h.t.Fatalf("plan of %s: %+v, %v, want one explanation", id, plan.Explanations, err)
	}
	return plan.Explanations[0].Reason
}

// TestSecondKey: of the deliveries that tell of one push, one runs.
func TestSecondKey(t *testing.T) {
	t.Parallel()
	a, b := commit("a"), commit("b")
	for name, c := range map[string]struct {
		events []sent
		runs   int
	}{
		"two hooks of a repository":   {[]sent{moved(1, a, b, "1"), moved(2, a, b, "2")}, 1},
		"two hooks without names":     {[]sent{moved(1, a, b, ""), moved(2, a, b, "")}, 1},
		"a tag by two hooks":          {[]sent{tagged(moved(1, "", b, "1")), tagged(moved(2, "", b, "2"))}, 1},
		"one hook twice":              {[]sent{moved(1, a, b, "1"), moved(2, a, b, "1")}, 2},
		"forced there and back":       {[]sent{moved(1, a, b, ""), moved(2, b, a, ""), moved(3, a, b, "")}, 3},
		"a tag deleted, pushed again": {[]sent{tagged(moved(1, "", b, "")), tagged(moved(2, b, "", "")), tagged(moved(3, "", b, ""))}, 2},
		"two equal labels":            {[]sent{asked(moved(1, a, b, "1")), asked(moved(2, a, b, "2"))}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, everything)
				a, stop, _ := h.agent()
				defer stop()
				for _, e := range c.events {
					h.deliver(a, e)
				}
				if got := len(h.runs()); got != c.runs {
					t.Errorf("got %d runs, want %d", got, c.runs)
				}
			})
		})
	}
}

func TestDuplicateIsExplained(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		a, stop, _ := h.agent()
		defer stop()
		first := h.deliver(a, moved(1, commit("a"), commit("b"), "1"))
		second := h.deliver(a, moved(2, commit("a"), commit("b"), "2"))
		why := h.explained(second)
		if !strings.Contains(why, "duplicate of delivery "+first) || !strings.Contains(why, "millrace replay "+second) {
			t.Errorf("got %q, want the first delivery, and how to replay this one", why)
		}
		rec, err := h.inbox.Get(t.Context(), second)
		if err != nil || rec.Planned == nil || !rec.Planned.Ignored || rec.Planned.First != first || rec.Planned.Error != why {
			t.Errorf("outcome %+v, %v, want it ignored for that reason, and the first named", rec.Planned, err)
		}
	})
}

// TestNoDuplicateOfItself: between the note of a push as the latest and its plan there may be a crash, bad weather, or
// the same push through another hook. Planned it is, once.
func TestNoDuplicateOfItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		h.files.err = errors.New("connection refused")
		a, _, kill := h.agent()
		h.deliver(a, moved(1, commit("a"), commit("b"), ""))
		second := h.deliver(a, moved(2, commit("a"), commit("b"), ""))
		kill()
		h.files.err = nil
		_, stop, _ := h.agent()
		defer stop()
		time.Sleep(3 * lease)
		synctest.Wait()
		if r := h.theRun(); r.Plan.Event.After != commit("b") || !r.Settled() {
			t.Errorf("the run is of %s, settled %v", r.Plan.Event.After, r.Settled())
		}
		if why := h.explained(second); !strings.Contains(why, "duplicate of") {
			t.Errorf("the second is explained by %q", why)
		}
	})
}
