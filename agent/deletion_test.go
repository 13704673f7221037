package agent_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/triggers"
)

// anywhere is the pipeline green for all branches, with a word about concurrency.
func anywhere(says string) string {
	return strings.Replace(concurrent(says), "{push: {branches: [main]}}", "{push: {}}", 1)
}

// deletion is the end of a branch, at some time.
func deletion(branch string, at time.Time) triggers.Event {
	e := pushTo(branch)
	e.ID, e.Kind, e.Before, e.After, e.Time = "end-"+branch, triggers.Deletion, e.After, "", at
	return e
}

// explains is what was made of a delivery, a line each.
func (h *house) explains(delivery string) string {
	h.t.Helper()
	p, err := h.store.Plan(h.t.Context(), delivery)
	if err != nil {
		h.t.Fatal(err)
	}
	var lines []string
	for _, x := range p.Explanations {
		lines = append(lines, strings.TrimSpace(x.Reason+" "+x.Run))
	}
	return strings.Join(lines, "\n")
}

// TestDeletionCancels holds that the deletion of a branch ends its live runs where they ask for it, and no others.
func TestDeletionCancels(t *testing.T) {
	t.Parallel()
	for says, want := range map[string][]run.State{
		"{limit: 1, when_deleted: cancel_running}": {run.Canceled, run.Canceled, run.Running},
		"{limit: 1, when_deleted: keep}":           {run.Running, run.Waiting, run.Running},
		"{limit: 1}":                               {run.Running, run.Waiting, run.Running},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, anywhere(says))
				h.runner.gate("unit")
				a, stop, _ := h.agent()
				defer h.clear()
				defer stop()
				h.pushes(a, 2)
				h.push(a, pushTo("other"))
				h.after(time.Second)
				id := h.push(a, deletion("main", time.Time{}))
				h.after(2 * lease)
				h.want("after the deletion", want...)
				runs := h.runs()
				explained := "a deletion: nothing asks for it"
				if want[0] == run.Canceled {
					explained = ""
					for _, r := range []run.Run{runs[1], runs[0]} {
						explained += "a deletion: run " + r.Plan.ID + " was canceled, as its `when_deleted` asks for " + r.Plan.ID + "\n"
						if r.Reason != "refs/heads/main was deleted" || !r.Settled() {
							t.Errorf("run %s: %s, settled %v", r.Plan.ID, r.Reason, r.Settled())
						}
					}
				}
				got := strings.Split(h.explains(id), "\n")
				for _, line := range got {
					if !strings.Contains(explained, line) {
						t.Errorf("explained: %s", line)
					}
				}
				if len(got) != max(strings.Count(explained, "\n"), 1) {
					t.Errorf("explained: %v, want %s", got, explained)
				}
			})
		})
	}
}

// TestDeletionAndPush holds what becomes of a push near the deletion of its branch, in the order of the events and not in
// that of their deliveries.
func TestDeletionAndPush(t *testing.T) {
	t.Parallel()
	const says = "{limit: 9, when_deleted: cancel_running}"
	for name, c := range map[string]struct {
		happens func(h *house, a *agent.Agent, now time.Time)
		want    run.State
	}{
		"pushed again, and the deletion comes late": {func(h *house, a *agent.Agent, now time.Time) {
			again := pushTo("main")
			again.Time = now
			h.push(a, again)
			h.after(time.Second)
			h.push(a, deletion("main", now.Add(-time.Second)))
		}, run.Running},
		"pushed again, and planned behind the late deletion": {func(h *house, a *agent.Agent, now time.Time) {
			again := pushTo("main")
			again.Time = now
			h.push(nil, again) // it arrives, and waits for the reaper
			h.after(time.Second)
			h.push(a, deletion("main", now.Add(-time.Second)))
		}, run.Running},
		"pushed before, and planned behind the deletion": {func(h *house, a *agent.Agent, now time.Time) {
			before := pushTo("main")
			before.Time = now
			h.push(nil, before)
			h.after(time.Second)
			h.push(a, deletion("main", now.Add(time.Second)))
		}, run.Canceled},
		"pushed before, and the push comes late": {func(h *house, a *agent.Agent, now time.Time) {
			h.push(a, deletion("main", now))
			h.after(time.Second)
			before := pushTo("main")
			before.Before, before.Time = commit("b"), now.Add(-time.Second)
			h.push(a, before)
		}, run.Canceled},
		"deleted and pushed again": {func(h *house, a *agent.Agent, now time.Time) {
			h.push(a, deletion("main", now))
			h.after(time.Second)
			again := pushTo("main")
			again.Time = now.Add(time.Second)
			h.push(a, again)
		}, run.Running},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, anywhere(says))
				h.runner.gate("unit")
				a, stop, _ := h.agent()
				defer h.clear()
				defer stop()
				h.after(lease / 2) // between two rounds of the reaper
				c.happens(h, a, time.Now())
				h.after(2 * lease)
				h.want("in the end", c.want)
			})
		})
	}
}
