package agent_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// replayed has a delivery replayed, waits until it is planned, and returns what it was kept as.
func (h *house) replayed(a *agent.Agent, id, rev string) string {
	h.t.Helper()
	again, err := a.Replay(h.t.Context(), id, rev)
	if err != nil {
		h.t.Fatal(err)
	}
	synctest.Wait()
	return again
}

// TestReplayRunsAgain: each replay is one more run, of the same event, which is nobody's duplicate.
func TestReplayRunsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		a, stop, _ := h.agent()
		defer stop()
		first := h.deliver(a, moved(1, commit("a"), commit("b"), ""))
		second := h.replayed(a, first, "")
		third := h.replayed(a, second, "")
		runs := h.runs()
		if len(runs) != 3 {
			t.Fatalf("got %d runs, want 3", len(runs))
		}
		got := map[string]run.Cause{}
		for _, r := range runs {
			e := r.Plan.Event
			got[e.Delivery] = r.Plan.Cause
			e.ID, e.Delivery = runs[0].Plan.Event.ID, runs[0].Plan.Event.Delivery
			if diff := cmp.Diff(runs[0].Plan.Event, e); diff != "" {
				t.Errorf("a replay's event (-want +got):\n%s", diff)
			}
		}
		want := map[string]run.Cause{first: {Kind: "delivery", ID: first}, second: {Kind: "replay", ID: first}, third: {Kind: "replay", ID: second}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("causes (-want +got):\n%s", diff)
		}
		if plan, err := h.store.Plan(t.Context(), third); err != nil || plan.Cause != want[third] {
			t.Errorf("the plan of a replay: %+v, %v, want the cause of its runs", plan.Cause, err)
		}
	})
}

// TestDuplicateCanBeReplayed does what the explanation of a duplicate says.
func TestDuplicateCanBeReplayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		a, stop, _ := h.agent()
		defer stop()
		h.deliver(a, moved(1, commit("a"), commit("b"), ""))
		second := h.deliver(a, moved(2, commit("a"), commit("b"), ""))
		h.replayed(a, second, "")
		if got := len(h.runs()); got != 2 {
			t.Errorf("got %d runs, want 2", got)
		}
	})
}

// TestReplayIsNotLost: it is kept before it is promised, so whoever dies then leaves it to the reaper.
func TestReplayIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		a, _, kill := h.agent()
		id := h.deliver(a, moved(1, commit("a"), commit("b"), ""))
		kill()
		ended, cancel := context.WithCancel(t.Context())
		cancel() // in memory nothing is kept for who has gone, so nothing is promised either
		if _, err := a.Replay(ended, id, ""); err == nil {
			t.Error("a replay was promised that was not kept")
		}
		if _, err := a.Replay(t.Context(), id, ""); err != nil {
			t.Fatal(err)
		}
		_, stop, _ := h.agent()
		defer stop()
		time.Sleep(3 * lease)
		synctest.Wait()
		if runs := h.runs(); len(runs) != 2 || !runs[1].Settled() {
			t.Errorf("got %d runs, want two that are settled", len(runs))
		}
	})
}

func TestRehearse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		a, stop, _ := h.agent()
		defer stop()
		id := h.deliver(a, moved(1, commit("a"), commit("b"), ""))
		h.git.set("refs/heads/next", commit("c"))
		plan, snapshots, err := a.Rehearse(t.Context(), id, "next")
		if err != nil || len(snapshots) != 1 || len(plan.Explanations) != 1 || !plan.Explanations[0].Matched {
			t.Fatalf("got %+v and %d snapshots, %v, want one run that is explained", plan.Explanations, len(snapshots), err)
		}
		if e := snapshots[0].Event; e.After != commit("c") || e.Branch != "main" || e.Message != "" {
			t.Errorf("would run %+v, want the event of main at the head of next", e)
		}
		synctest.Wait()
		kept, _, err := h.inbox.List(t.Context(), "", 9)
		if err != nil || len(kept) != 1 || len(h.runs()) != 1 {
			t.Errorf("%d deliveries and %d runs after a rehearsal, %v, want one of each", len(kept), len(h.runs()), err)
		}
	})
}

// TestReplayElsewhere: which revisions a replay may be of.
func TestReplayElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		a, stop, _ := h.agent()
		defer stop()
		id := h.deliver(a, moved(1, commit("a"), commit("b"), ""))
		fork := asked(moved(2, "", commit("f"), ""))
		fork.Request.Fork = true
		h.deliver(a, fork)
		h.deliver(a, moved(3, commit("b"), commit("d"), ""))
		gone := h.deliver(a, moved(4, commit("d"), "", ""))
		for ref, c := range map[string]string{"refs/heads/next": "c", "refs/tags/v1": "e", "refs/heads/both": "c", "refs/tags/both": "e", "refs/heads/same": "c", "refs/tags/same": "c"} {
			h.git.set(ref, commit(c))
		}
		for rev, want := range map[string]string{
			"": "b", "next": "c", "refs/heads/next": "c", "v1": "e", "refs/heads/both": "c", "refs/tags/both": "e", "same": "c",
			commit("e"): "e", commit("d"): "d", commit("d")[:7]: "d",
		} {
			plan, _, err := a.Rehearse(t.Context(), id, rev)
			if err != nil || plan.Event.After != commit(want) {
				t.Errorf("at %q: %.7s, %v, want %s", rev, plan.Event.After, err, want)
			}
		}
		for rev, want := range map[string]string{
			"nowhere": "no branch or tag", "both": "refs/tags/both", "refs/pull/7/head": "no branch or tag", "--x": "no branch or tag", commit("f"): "no commit that a run of it was of", commit("0"): "no commit",
		} {
			if _, err := a.Replay(t.Context(), id, rev); !errors.Is(err, triggers.ErrPermanent) || !strings.Contains(err.Error(), want) {
				t.Errorf("at %q: %v, want it refused with %q", rev, err, want)
			}
		}
		if _, err := a.Replay(t.Context(), gone, "next"); !errors.Is(err, triggers.ErrIgnored) {
			t.Errorf("a deletion at next: %v", err)
		}
		h.git.err = errWeather
		if _, err := a.Replay(t.Context(), id, "next"); !errors.Is(err, errWeather) {
			t.Errorf("while the git server is down: %v", err)
		}
	})
}

func TestReplayOfWhatCannotBe(t *testing.T) {
	t.Parallel()
	h := newHouse(t, everything)
	a := h.idle()
	keep := func(d triggers.Delivery) string {
		d.ID = triggers.DeliveryID(d.Forge, d.Key)
		if _, err := h.inbox.Keep(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		return d.ID
	}
	for id, want := range map[string]error{
		"dnever": inbox.ErrNotFound,
		keep(triggers.Delivery{Forge: "gitea", Key: "1", Kind: "star", Ignored: "only its headers were kept"}):           triggers.ErrIgnored,
		keep(triggers.Delivery{Forge: "gitea", Key: "2", Kind: "push", Body: []byte("{")}):                               triggers.ErrPayload,
		keep(triggers.Delivery{Forge: "gone", Key: "3", Kind: "push", Body: []byte("{}")}):                               triggers.ErrIgnored,
		keep(triggers.Delivery{Forge: "gitea", Key: "millrace:replay:4", Kind: "replay", Body: []byte("nul")}):           triggers.ErrPayload,
		keep(triggers.Delivery{Forge: "gitea", Key: "millrace:replay:5", Kind: "replay", Body: []byte(`{"version":2}`)}): triggers.ErrPayload,
	} {
		if _, err := a.Replay(t.Context(), id, ""); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", id, err, want)
		}
	}
}
