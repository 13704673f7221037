package agent_test

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/triggers"
)

// pipelines that differ in what they ask for.
const (
	asksBoth  = "name: either\non: {push: {}, pull_request: {branches: [prod]}}\n" + oneTask
	asksPush  = "name: pushed\non: push\n" + oneTask
	runsBoth  = "name: twice\nboth: true\non: [push, pull_request]\n" + oneTask
	oneTask   = "stages: [{name: s, tasks: [{name: t, uses: script@v1, with: {SCRIPT: \"true\"}}]}]\n"
	longAfter = 2 * time.Minute
)

// request is an event of request 7, which would merge work into prod.
func request(nth int, action, letter string) sent {
	e := pushTo("work")
	e.ID, e.Kind, e.Ref, e.After = fmt.Sprint("request-", nth), triggers.PullRequest, "refs/pull/7/head", commit(letter)
	e.Request = &triggers.Request{Number: 7, Action: action, Status: "open", SourceBranch: "work", TargetBranch: "prod"}
	if action == "closed" {
		e.Request.Status = "closed"
	}
	return sent{e, ""}
}

// work is a push to the branch work.
func work(nth int, from, to string) sent {
	s := moved(nth, commit(from), commit(to), "")
	s.Ref, s.Branch = "refs/heads/work", "work"
	return s
}

// ran lists runs as pipeline, kind of event and commit, in the order of their names.
func (h *house) ran() []string {
	h.t.Helper()
	var all []string
	for _, r := range h.runs() {
		all = append(all, fmt.Sprintf("%s%s for %s of %.1s", r.Plan.Pipeline, r.Plan.Context, r.Plan.Event.Kind, r.Plan.Event.After))
	}
	slices.Sort(all)
	return all
}

// TestPushAndRequest plays deliveries that tell of the same commits, and then lets time pass.
func TestPushAndRequest(t *testing.T) {
	t.Parallel()
	elsewhere := request(1, "opened", "a")
	elsewhere.Request.TargetBranch = "next"
	fork := request(1, "opened", "b")
	fork.Request.Fork = true
	gone := work(3, "a", "b")
	gone.Kind, gone.After = triggers.Deletion, ""
	for name, c := range map[string]struct {
		pipeline string
		story    []sent
		want     string
	}{
		"the request first":     {asksBoth, []sent{request(1, "opened", "a"), request(2, "synchronize", "b"), work(3, "a", "b")}, "request a, request b"},
		"the push first":        {asksBoth, []sent{request(1, "opened", "a"), work(2, "a", "b"), request(3, "synchronize", "b")}, "request a, request b"},
		"opened with its push":  {asksBoth, []sent{request(1, "opened", "b"), work(2, "a", "b")}, "request b"},
		"opened later":          {asksBoth, []sent{work(1, "a", "b"), request(2, "opened", "b")}, "push b, request b"},
		"closed":                {asksBoth, []sent{request(1, "opened", "a"), request(2, "closed", "a"), work(3, "a", "b")}, "push b, request a"},
		"labeled is no news":    {asksBoth, []sent{request(1, "opened", "a"), request(2, "labeled", "b"), work(3, "a", "b")}, "push b, request a"},
		"labeled after it":      {asksBoth, []sent{request(1, "synchronize", "b"), request(2, "labeled", "b"), work(3, "a", "b")}, "request b"},
		"into another branch":   {asksBoth, []sent{elsewhere, work(2, "a", "b")}, "push b"},
		"of a fork":             {asksBoth, []sent{fork, work(2, "a", "b")}, "push b"},
		"of a branch that was":  {asksBoth, []sent{request(1, "opened", "a"), work(2, "0", "a"), gone, work(4, "0", "c")}, "push c, request a"},
		"asked for only pushes": {asksPush, []sent{request(1, "opened", "b"), work(2, "a", "b")}, "push b"},
		"both":                  {runsBoth, []sent{work(1, "0", "a"), request(2, "opened", "a"), work(3, "a", "b"), request(4, "synchronize", "b")}, "/push push b, push a, request a, request b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, c.pipeline)
				a, stop, _ := h.agent()
				defer stop()
				for _, s := range c.story {
					h.deliver(a, s)
				}
				h.after(longAfter)
				var got []string
				for _, r := range h.runs() {
					kind := strings.TrimPrefix(string(r.Plan.Event.Kind), "pull_")
					got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %.1s", r.Plan.Context, kind, r.Plan.Event.After)))
				}
				slices.Sort(got)
				if strings.Join(got, ", ") != c.want {
					t.Errorf("got %s, want %s", strings.Join(got, ", "), c.want)
				}
			})
		})
	}
}

// TestPushWaitsForItsRequest: what asks only for pushes does not wait with it; a request that says nothing is waited for
// once.
func TestPushWaitsForItsRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, asksBoth, asksPush)
		var log strings.Builder
		h.log = slog.New(slog.NewTextHandler(&log, nil))
		a, stop, _ := h.agent()
		defer stop()
		h.deliver(a, request(1, "opened", "a"))
		id := h.deliver(a, work(2, "a", "b"))
		const first, second = "either for pull_request of a", "pushed for push of b"
		want := func(what string, all ...string) {
			t.Helper()
			if got := h.ran(); !slices.Equal(got, all) {
				t.Errorf("%s: got %q, want %q", what, got, all)
			}
		}
		want("at once", first, second)
		if why := h.explains(id); !strings.Contains(why, "waits for request 7") {
			t.Errorf("while it waits it is explained as %q", why)
		}
		time.Sleep(50 * time.Second)
		want("while the request may tell", first, second)
		if n := h.creates.Load(); n != 2 {
			t.Errorf("runs were created %d times, want each once", n)
		}
		time.Sleep(12 * time.Second)
		want("when it told nothing", first, "either for push of b", second)
		synctest.Wait()
		for _, line := range []string{"push waits for its request", "definitions read"} {
			said := regexp.MustCompile(line + `" delivery=` + id)
			if n := len(said.FindAllString(log.String(), -1)); n != 1 {
				t.Errorf("%q is logged %d times of it, want once", line, n)
			}
		}
		plan, err := h.store.Plan(t.Context(), id)
		if err != nil || !strings.Contains(plan.Explanations[0].Reason, "request 7 told nothing of this commit") {
			t.Errorf("explained as %+v, %v", plan.Explanations, err)
		}
		h.deliver(a, work(3, "b", "c"))
		want("the next push", first, "either for push of b", "either for push of c", second, "pushed for push of c")
	})
}

// TestLatePushWaitsForItsRequest: what lay in line for long may have its request behind it.
func TestLatePushWaitsForItsRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, asksBoth)
		a, stop, _ := h.agent()
		h.deliver(a, request(1, "opened", "a"))
		h.after(10 * time.Second)
		stop()
		door := h.idle()
		h.push(door, work(2, "a", "b").Event)
		time.Sleep(longAfter)
		a, stop, _ = h.agent()
		defer stop()
		h.after(50 * time.Second)
		h.deliver(a, request(3, "synchronize", "b"))
		h.after(longAfter)
		want := []string{"either for pull_request of a", "either for pull_request of b"}
		if got := h.ran(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestLeftIsExplained: the push says to which request it was left, and where its state is told.
func TestLeftIsExplained(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, asksBoth)
		a, stop, _ := h.agent()
		defer stop()
		h.deliver(a, request(1, "opened", "b"))
		if why := h.explained(h.deliver(a, work(2, "a", "b"))); !strings.Contains(why, "left to request 7") || !strings.Contains(why, "both: true") {
			t.Errorf("explained as %q", why)
		}
		if why := h.explained(h.replayed(a, triggers.DeliveryID("gitea", "moved-2"), "")); strings.Contains(why, "left to") {
			t.Errorf("its replay is explained as %q: who asks for it means it", why)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, runsBoth)
		a, stop, _ := h.agent()
		defer stop()
		h.deliver(a, request(1, "opened", "b"))
		h.deliver(a, work(2, "a", "b"))
		contexts := map[string]bool{}
		for _, n := range h.forge.notices {
			contexts[n.Context] = true
		}
		if !contexts["millrace/twice"] || !contexts["millrace/twice/push"] || len(contexts) != 2 {
			t.Errorf("states were told as %v", contexts)
		}
	})
}
