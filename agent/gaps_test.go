package agent_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/store/memstore"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// redeliverer is a forge that can be asked for what it could not deliver.
type redeliverer struct {
	*fakeForge
	mu    sync.Mutex // held while it answers, and to change what it answers
	since []time.Time
	send  func(ctx context.Context) int
	fail  error
}

// Redeliver is agent.Redeliverer's.
func (r *redeliverer) Redeliver(ctx context.Context, repo string, since time.Time) (int, error) {
	if repo != "mill/flour" {
		return 0, fmt.Errorf("asked for %s", repo)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.since = append(r.since, since)
	return r.send(ctx), r.fail
}

// commits are those of the runs, oldest first, each a letter, in capitals where it was recovered.
func (h *house) commits() (all string) {
	h.t.Helper()
	for _, r := range h.runs() {
		e := r.Plan.Event
		letter := e.After[:1]
		if e.Recovered {
			letter = string(letter[0] - 'a' + 'A')
		}
		all += letter
	}
	return all
}

// suspected waits until a look suspects that a push was missed.
func (h *house) suspected() {
	h.t.Helper()
	for range 1000 {
		h.after(lease)
		due, err := h.refs.Due(h.t.Context(), time.Now().Add(time.Hour), 1)
		if err != nil || len(due) == 0 {
			h.t.Fatal(due, err)
		}
		if len(due[0].Suspicions) > 0 {
			return
		}
	}
	h.t.Fatal("nothing is suspected")
}

// TestMissedPushIsRun: what no delivery told is found within two rounds, planned as its forge would have told it, and
// found once, whoever looks.
func TestMissedPushIsRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		a, stop, _ := h.agent()
		defer stop()
		_, stopB, _ := h.agent()
		defer stopB()
		h.git.set("refs/heads/old", commit("e"))
		h.deliver(a, moved(1, commit("a"), commit("b"), ""))
		time.Sleep(2 * time.Minute)
		h.git.set("refs/heads/main", commit("c"))
		h.git.set("refs/heads/new", commit("d"))
		h.git.set("refs/tags/v1", commit("c"))
		time.Sleep(2*gapsEvery + 2*time.Minute)
		synctest.Wait()
		runs := h.runs()
		if len(runs) != 4 {
			t.Fatalf("got %q, want the push, and the three that were missed", h.commits())
		}
		var got []triggers.Event
		for _, r := range runs[1:] {
			e := r.Plan.Event
			if e.Delivery == "" || e.ID != e.Delivery || e.Time.IsZero() || r.Plan.Cause.ID != e.Delivery {
				t.Errorf("the event of %s is %+v, want it to name its delivery", e.Ref, e)
			}
			e.ID, e.Delivery, e.Time = "", "", time.Time{}
			got = append(got, e)
		}
		slices.SortFunc(got, func(a, b triggers.Event) int { return strings.Compare(a.Ref, b.Ref) })
		repo := runs[0].Plan.Event.Repo
		repo.HTTPURL = flour
		want := []triggers.Event{
			{Kind: triggers.Push, Forge: "gitea", Repo: repo, Ref: "refs/heads/main", Branch: "main", Before: commit("b"), After: commit("c"), Recovered: true},
			{Kind: triggers.Push, Forge: "gitea", Repo: repo, Ref: "refs/heads/new", Branch: "new", After: commit("d"), Recovered: true},
			{Kind: triggers.Tag, Forge: "gitea", Repo: repo, Ref: "refs/tags/v1", Tag: "v1", After: commit("c"), Recovered: true},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		rec, err := h.inbox.Get(t.Context(), runs[1].Plan.Event.Delivery)
		if err != nil || rec.Kind != "recovered" || rec.Planned == nil {
			t.Errorf("it is kept as %+v, %v", rec, err)
		}
	})
}

// TestLateDeliveryOfMissedPush: what the forge tells after it was found starts nothing; the steps that were missed
// between do, once, and what was found stays what is known.
func TestLateDeliveryOfMissedPush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		a, stop, _ := h.agent()
		defer stop()
		h.deliver(a, moved(1, commit("a"), commit("b"), ""))
		time.Sleep(2 * time.Minute)
		h.git.set("refs/heads/main", commit("d"))
		time.Sleep(2 * gapsEvery)
		h.deliver(a, moved(2, commit("b"), commit("c"), ""))
		h.git.set("refs/heads/main", commit("d")) // deliver moved it
		h.deliver(a, moved(3, commit("c"), commit("d"), ""))
		time.Sleep(3 * gapsEvery)
		synctest.Wait()
		if got := h.commits(); got != "bDc" {
			t.Errorf("got %q, want bDc: b, then d found, then c told late", got)
		}
		h.deliver(a, moved(4, commit("d"), commit("e"), ""))
		time.Sleep(3 * gapsEvery)
		synctest.Wait()
		if got := h.commits(); got != "bDce" {
			t.Errorf("got %q, want bDce", got)
		}
	})
}

// TestToldAfterLost: a push is found, the next is lost, and the one after that is told: it is not found once more.
func TestToldAfterLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		a, stop, _ := h.agent()
		defer stop()
		h.deliver(a, moved(1, commit("a"), commit("b"), ""))
		time.Sleep(2 * time.Minute)
		h.git.set("refs/heads/main", commit("c"))
		time.Sleep(3 * gapsEvery)
		h.deliver(a, moved(3, commit("d"), commit("e"), ""))
		time.Sleep(5 * gapsEvery)
		h.deliver(a, moved(4, commit("e"), commit("f"), "hook"))
		time.Sleep(5 * gapsEvery)
		h.deliver(a, moved(5, commit("e"), commit("f"), "another"))
		synctest.Wait()
		if got := h.commits(); got != "bCef" {
			t.Errorf("got %q, want bCef", got)
		}
		if s, err := h.refs.Latest(t.Context(), "gitea", "mill/flour", "refs/heads/main"); err != nil || s.After != commit("f") {
			t.Errorf("heard last is %+v, %v, want the last push", s, err)
		}
	})
}

// TestNoGap: what is on its way, or was there before us, is not recovered.
func TestNoGap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		play func(h *house)
		want string
	}{
		"a delivery that is slow": {func(h *house) {
			a, stop, _ := h.agent()
			defer stop()
			h.deliver(a, moved(1, commit("a"), commit("b"), ""))
			h.after(2 * time.Minute)
			h.git.set("refs/heads/main", commit("c"))
			h.suspected()
			h.deliver(a, moved(2, commit("b"), commit("c"), ""))
			h.after(3 * gapsEvery)
		}, "bc"},
		"history that was never ours": {func(h *house) {
			for i := range 20 {
				h.git.set(fmt.Sprint("refs/heads/", i), commit("f"))
			}
			a, stop, _ := h.agent()
			defer stop()
			h.deliver(a, moved(1, commit("a"), commit("b"), ""))
			h.after(3 * gapsEvery)
		}, "b"},
		"looks that are switched off": {func(h *house) {
			h.every = -1
			a, stop, _ := h.agent()
			defer stop()
			h.deliver(a, moved(1, commit("a"), commit("b"), ""))
			h.git.set("refs/heads/main", commit("c"))
			h.after(3 * gapsEvery)
		}, "b"},
		"an unreachable git server": {func(h *house) {
			a, stop, _ := h.agent()
			defer stop()
			h.deliver(a, moved(1, commit("a"), commit("b"), ""))
			h.git.fails(errWeather)
			h.after(3 * gapsEvery)
			h.git.fails(nil)
			h.after(3 * gapsEvery)
		}, "b"},
		"a repository that is no longer ours": {func(h *house) {
			a, stop, _ := h.agent()
			h.deliver(a, moved(1, commit("a"), commit("b"), ""))
			h.after(2 * time.Minute)
			stop()
			h.repos = []string{"other/*"}
			h.git.set("refs/heads/main", commit("c"))
			_, stop, _ = h.agent()
			defer stop()
			h.after(3 * gapsEvery)
			if n := len(h.kept()); n != 1 || h.git.looks > 3 {
				h.t.Errorf("%d deliveries are kept, after %d looks", n, h.git.looks)
			}
		}, "b"},
		"forced back, unheard": {func(h *house) {
			a, stop, _ := h.agent()
			defer stop()
			h.deliver(a, moved(1, commit("a"), commit("b"), ""))
			h.after(2 * time.Minute)
			for range 2 {
				h.git.set("refs/heads/main", commit("a"))
				h.after(3 * gapsEvery)
				h.git.set("refs/heads/main", commit("b"))
				h.after(3 * gapsEvery)
			}
		}, "bABAB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, everything)
				h.t = t
				c.play(h)
				if got := h.commits(); got != c.want {
					t.Errorf("got runs of %q, want %q", got, c.want)
				}
			})
		})
	}
}

// TestPendingDelivery: while a delivery of the repository waits to be planned, nothing is recovered there.
func TestPendingDelivery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		a, stop, _ := h.agent()
		defer stop()
		h.deliver(a, moved(1, commit("a"), commit("b"), ""))
		time.Sleep(2 * time.Minute)
		h.unnoted.Store(true)
		h.deliver(a, moved(2, commit("b"), commit("c"), ""))
		time.Sleep(3 * gapsEvery)
		if got := h.kept(); len(got) != 2 {
			t.Errorf("kept %v while a delivery waits to be planned, want the two pushes", got)
		}
		h.unnoted.Store(false)
		time.Sleep(3 * gapsEvery)
		synctest.Wait()
		if got := h.commits(); got != "bc" {
			t.Errorf("got runs of %q, want bc", got)
		}
	})
}

// TestHeardByPreviousVersion: what an agent planned that notes nothing, as one of before looks does while it is replaced, is
// not found once more; what is pushed on top of it is.
func TestHeardByPreviousVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		a, stop, _ := h.agent()
		h.deliver(a, moved(1, commit("a"), commit("b"), ""))
		time.Sleep(2 * time.Minute)
		stop()

		noted := h.refs
		h.refs = memstore.NewRefs()
		a, stop, _ = h.agent()
		h.deliver(a, moved(2, commit("b"), commit("c"), ""))
		time.Sleep(time.Second)
		h.deliver(a, moved(3, commit("c"), commit("d"), ""))
		time.Sleep(2 * time.Minute)
		stop()

		h.refs = noted
		_, stop, _ = h.agent()
		defer stop()
		time.Sleep(3 * gapsEvery)
		if got := h.commits(); got != "bcd" {
			t.Errorf("got runs of %q, want bcd", got)
		}
		if s, err := noted.Sights(t.Context(), "gitea", "mill/flour"); err != nil || s["refs/heads/main"].After != commit("d") {
			t.Errorf("noted is %+v, %v, want what the other agent heard", s, err)
		}
		h.git.set("refs/heads/main", commit("e"))
		time.Sleep(3 * gapsEvery)
		synctest.Wait()
		if got := h.commits(); got != "bcdE" {
			t.Errorf("got runs of %q, want bcdE", got)
		}
	})
}

// TestIgnoredByPreviousVersion: a push that was found, and that an agent ignored which knows no such delivery, is planned.
func TestIgnoredByPreviousVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		a, stop, _ := h.agent()
		defer stop()
		h.deliver(a, moved(1, commit("a"), commit("b"), ""))
		time.Sleep(2 * time.Minute)
		h.unnoted.Store(true)
		h.git.set("refs/heads/main", commit("c"))
		time.Sleep(2 * gapsEvery)
		ids, err := h.inbox.Unplanned(t.Context(), 10)
		if err != nil || len(ids) != 1 {
			t.Fatalf("unplanned are %v, %v, want what was found", ids, err)
		}
		if err := h.inbox.Settle(t.Context(), ids[0], inbox.Outcome{At: time.Now(), Ignored: true, Error: "unknown kind"}); err != nil {
			t.Fatal(err)
		}
		h.unnoted.Store(false)
		time.Sleep(2 * gapsEvery)
		synctest.Wait()
		if got := h.commits(); got != "bC" {
			t.Errorf("got runs of %q, want bC", got)
		}
	})
}

// TestNotedThenIgnoredByPreviousVersion: the same where one of us had noted the push, but not planned it.
func TestNotedThenIgnoredByPreviousVersion(t *testing.T) {
	t.Parallel()
	for name, told := range map[string]bool{"and a look": false, "and it is told late": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, everything)
				a, stop, _ := h.agent()
				defer stop()
				h.deliver(a, moved(1, commit("a"), commit("b"), ""))
				time.Sleep(2 * time.Minute)
				h.unnoted.Store(true)
				h.git.set("refs/heads/main", commit("c"))
				time.Sleep(2 * gapsEvery)
				ids, err := h.inbox.Unplanned(t.Context(), 10)
				if err != nil || len(ids) != 1 {
					t.Fatalf("unplanned are %v, %v, want what was found", ids, err)
				}
				rec, err := h.inbox.Get(t.Context(), ids[0])
				if err == nil {
					_, err = h.refs.Note(t.Context(), store.Heard{
						Repo: store.Repo{Forge: "gitea", Repository: pushTo("main").Repo}, Ref: "refs/heads/main", Look: time.Now().Add(gapsEvery),
						Sight: store.Sight{Before: commit("b"), After: commit("c"), Delivery: ids[0], At: rec.At, Recovered: true},
					})
				}
				if err == nil {
					err = h.inbox.Settle(t.Context(), ids[0], inbox.Outcome{At: time.Now(), Ignored: true, Error: "unknown kind"})
				}
				if err != nil {
					t.Fatal(err)
				}
				h.unnoted.Store(false)
				if told {
					h.deliver(a, moved(2, commit("b"), commit("c"), ""))
					h.deliver(a, moved(3, commit("c"), commit("d"), ""))
					time.Sleep(lease)
				} else {
					time.Sleep(2 * gapsEvery)
				}
				synctest.Wait()
				if got := h.commits(); !strings.HasPrefix(got, "b") || strings.Count(strings.ToLower(got), "c") != 1 {
					t.Errorf("got runs of %q, want one of c", got)
				}
			})
		})
	}
}

// kept lists the kinds of the deliveries that are kept.
func (h *house) kept() (kinds []string) {
	h.t.Helper()
	all, _, err := h.inbox.List(h.t.Context(), "", 500)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, rec := range all {
		kinds = append(kinds, rec.Kind)
	}
	return kinds
}

// TestLooksAtStart: an agent that starts looks at once, so that it finds what was pushed while nobody listened.
func TestLooksAtStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		a, stop, _ := h.agent()
		h.deliver(a, moved(1, commit("a"), commit("b"), ""))
		time.Sleep(2 * time.Minute)
		stop()
		h.git.set("refs/heads/main", commit("c"))
		_, stop, _ = h.agent()
		defer stop()
		time.Sleep(time.Minute + 3*lease)
		synctest.Wait()
		if got := h.commits(); got != "bC" {
			t.Errorf("got runs of %q, want bC a minute after the start", got)
		}
	})
}

// TestPoll: a forge that cannot reach us is looked at, from before the first push on, and nothing waits to be sure.
func TestPoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		h.poll, h.repos = time.Minute, []string{"mill/flour", "mill/rye*"}
		h.git.set("refs/heads/main", commit("a"))
		_, stop, _ := h.agent()
		defer stop()
		time.Sleep(2 * lease)
		for _, letter := range []string{"b", "c"} {
			h.git.set("refs/heads/main", commit(letter))
			time.Sleep(time.Minute + 3*lease)
		}
		h.git.set("refs/heads/main", "")
		time.Sleep(time.Minute + 3*lease)
		synctest.Wait()
		if got := h.commits(); got != "BC" {
			t.Errorf("got runs of %q, want BC", got)
		}
		if got := h.kept(); len(got) != 3 {
			t.Errorf("got %v, want three deliveries: two pushes and a deletion", got)
		}
	})
}

// TestAskedAgain: a forge that can be asked to deliver again is asked, once in a round, and given time to.
func TestAskedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		h.again = &redeliverer{fakeForge: h.forge}
		lost := moved(2, commit("b"), commit("c"), "")
		door := h.idle()
		var asked atomic.Int32
		var missing atomic.Bool
		h.again.send = func(context.Context) int {
			asked.Add(1)
			if !missing.CompareAndSwap(true, false) {
				return 0
			}
			time.AfterFunc(30*time.Second, func() { h.push(door, lost.Event) })
			return 1
		}
		a, stop, _ := h.agent()
		defer stop()
		h.deliver(a, moved(1, commit("a"), commit("b"), ""))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := asked.Load(); n != 0 {
			t.Errorf("asked %d times before the first round", n)
		}
		h.git.set("refs/heads/main", commit("c"))
		missing.Store(true)
		time.Sleep(5 * gapsEvery)
		synctest.Wait()
		if got := h.commits(); got != "bc" {
			t.Errorf("got runs of %q, want bc: the forge delivered c again", got)
		}
		if n := len(h.again.since); n < 4 || n > 6 {
			t.Errorf("asked %d times in five rounds", n)
		}
	})
}

// TestAskedAgainForAll: whatever looks are in between, that ask nothing or fail, each moment is in a span that the forge
// was asked about to the end.
func TestAskedAgainForAll(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail error
		more int // how often there is something to ask for
		most int // how often it is asked; 0: at each look
	}{
		"a look after a push":    {nil, 0, 14},
		"more than is asked for": {nil, 3, 17},
		"weather":                {errWeather, 0, 0},
		"a refusal":              {report.Permanent(errWeather), 0, 14},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, everything)
				h.again = &redeliverer{fakeForge: h.forge}
				var failed time.Time
				covered, more := false, c.more
				h.again.send = func(context.Context) int {
					if failed.IsZero() || h.again.fail != nil {
						return 0
					}
					if more--; more >= 0 {
						return 1
					}
					covered = covered || !h.again.since[len(h.again.since)-1].After(failed)
					return 0
				}
				a, stop, _ := h.agent()
				defer stop()
				h.deliver(a, moved(1, commit("a"), commit("b"), ""))
				time.Sleep(3 * gapsEvery)
				h.deliver(a, moved(2, commit("b"), commit("c"), ""))
				h.after(2 * time.Minute) // with the look a minute after the push
				h.deliver(a, moved(3, commit("c"), commit("d"), ""))
				h.after(30 * time.Second)
				h.again.mu.Lock()
				failed, h.again.fail = time.Now(), c.fail
				h.again.mu.Unlock()
				for i := range 20 { // somebody is busy
					h.deliver(a, moved(10+i, commit(string("dc"[i%2])), commit(string("cd"[i%2])), ""))
					h.after(time.Minute)
				}
				h.again.mu.Lock()
				h.again.fail = nil
				h.again.mu.Unlock()
				h.after(3 * gapsEvery)
				h.again.mu.Lock()
				defer h.again.mu.Unlock()
				if !covered {
					t.Error("what failed in between is in no span that the forge was asked about")
				}
				if n := len(h.again.since); c.most > 0 && n > c.most {
					t.Errorf("asked %d times, want at most %d", n, c.most)
				}
			})
		})
	}
}

// TestCrowdedRepository: what is beyond the bounds is neither noted nor found to be new, also not when it becomes less.
func TestCrowdedRepository(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		h.every = 6 * time.Hour
		a, stop, _ := h.agent()
		defer stop()
		for i := range store.MaxRefs + 50 {
			h.git.set(fmt.Sprint("refs/tags/", i), commit("f"))
		}
		h.deliver(a, moved(1, commit("a"), commit("b"), ""))
		time.Sleep(12 * time.Hour)
		for i := range 100 {
			h.git.set(fmt.Sprint("refs/tags/", i), "")
		}
		h.git.set("refs/heads/main", commit("c"))
		time.Sleep(48 * time.Hour) // until those that are gone are forgotten
		synctest.Wait()
		if got := h.commits(); got != "bC" {
			t.Errorf("got runs of %.20q, want bC", got)
		}
	})
}

// TestManyMissed: twenty missed tags are twenty runs; hundreds come little by little.
func TestManyMissed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, everything)
		h.repos = []string{"mill/flour"}
		h.poll = time.Minute
		h.git.set("refs/heads/main", commit("a"))
		_, stop, _ := h.agent()
		defer stop()
		time.Sleep(2 * lease)
		for i := range 250 {
			h.git.set(fmt.Sprint("refs/tags/", i), commit("b"))
		}
		time.Sleep(time.Minute + 2*lease)
		if got := len(h.kept()); got != 100 {
			t.Errorf("the first look recovered %d, want 100", got)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := len(h.kept()); got != 250 {
			t.Errorf("recovered %d in all, want 250", got)
		}
	})
}
