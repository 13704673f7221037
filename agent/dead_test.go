package agent_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/queue/memq"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/triggers"
)

// TestGivenUpDeliveryIsPlannedAgain: after an hour of weather the delivery is among the dead, the reaper leaves it there,
// and whoever retries it gets the run.
func TestGivenUpDeliveryIsPlannedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		h.files.err = errors.New("connection refused")
		a, stop, _ := h.agent()
		defer stop()
		id := h.push(a, pushTo("main"))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		dead := h.dead(a)
		if len(dead) != 1 || !strings.HasSuffix(dead[0].Why, "connection refused") {
			t.Fatalf("the dead: got %+v, want the delivery and why", dead)
		}
		if diff := cmp.Diff(run.Reference{Line: "plan", Delivery: id}, dead[0].Item.Value); diff != "" {
			t.Errorf("what was given up (-want +got):\n%s", diff)
		}
		if got := h.lengths(); got != [3]int{} {
			t.Errorf("in line for planning, working, reporting: %v, want nothing", got)
		}
		h.files.err = nil
		h.retry(a, "plan", id)
		synctest.Wait()
		if r := h.theRun(); r.State != run.Succeeded {
			t.Errorf("the run is %s, want succeeded", r.State)
		}
		if dead := h.dead(a); len(dead) != 0 {
			t.Errorf("the dead: got %+v, want none", dead)
		}
	})
}

// TestRefusedDelivery: what will never work is buried at once, and also when the planner dies between saying so and that.
func TestRefusedDelivery(t *testing.T) {
	t.Parallel()
	for name, dies := range map[string]bool{"in one go": false, "planner dies": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, green)
				h.files.err = triggers.ErrPermanent
				a, stop, _ := h.agent()
				defer stop()
				id := h.push(a, pushTo("main"))
				synctest.Wait()
				if dies {
					if err := a.Forget(t.Context(), "plan", id); err != nil {
						t.Fatal(err)
					}
					if err := a.PushDeliveries(t.Context(), id); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				if dead := h.dead(a); len(dead) != 1 || dead[0].Item.ID != id {
					t.Errorf("the dead: got %+v, want the delivery", dead)
				}
			})
		})
	}
}

// slowly is a log that takes its time over one message.
type slowly struct {
	slog.Handler
	message string
}

func (slowly) Enabled(context.Context, slog.Level) bool { return true }

func (s slowly) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == s.message {
		<-time.After(lease)
	}
	return s.Handler.Handle(ctx, r)
}

// TestGivenUpWhileRetried: what is given up again before who retried it is done stays among the dead.
func TestGivenUpWhileRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		h.log = slog.New(slowly{slog.DiscardHandler, "item retried that was given up"})
		h.files.err = triggers.ErrPermanent
		a, stop, _ := h.agent()
		defer stop()
		id := h.push(a, pushTo("main"))
		synctest.Wait()
		first := h.dead(a)
		h.retry(a, "plan", id)
		if dead := h.dead(a); len(first) != 1 || len(dead) != 1 || dead[0].Item.ID != id || dead[0].Token == first[0].Token {
			t.Errorf("the dead: got %+v after %+v, want the delivery, buried once more", dead, first)
		}
	})
}

// TestRefusedTellingIsToldAgain: the token may not write statuses, until somebody mends it.
func TestRefusedTellingIsToldAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		refused := report.Permanent(errors.New("the token may not write statuses"))
		h.forge.fail = []error{refused, refused, refused}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		time.Sleep(10 * lease)
		synctest.Wait()
		id := h.theRun().Plan.ID
		dead := h.dead(a)
		if len(dead) != 1 || dead[0].Item.Value != (run.Reference{Line: "report", Run: id}) || dead[0].Why != "the token may not write statuses" {
			t.Fatalf("the dead: got %+v, want the telling and why", dead)
		}
		if told := h.forge.told(); len(told) != 0 {
			t.Errorf("told %v, want nothing: nobody has asked for it again", told)
		}
		h.forge.fail = nil
		h.retry(a, "report", id)
		synctest.Wait()
		if diff := cmp.Diff([]report.State{report.Succeeded}, h.forge.told()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if r, dead := h.theRun(), h.dead(a); !r.Settled() || len(dead) != 0 {
			t.Errorf("settled %v, the dead %+v; want it settled, and none", r.Settled(), dead)
		}
	})
}

// TestDeadTellingKeepsNothingFromBeingTold: a state that was refused is among the dead, and the next one is told.
func TestDeadTellingKeepsNothingFromBeingTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		end := h.runner.gate("unit")
		refused := report.Permanent(errors.New("no such commit yet"))
		h.forge.fail = []error{refused, refused}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		time.Sleep(lease)
		synctest.Wait()
		if dead := h.dead(a); len(dead) != 1 {
			t.Fatalf("the dead: got %+v, want the telling", dead)
		}
		h.forge.fail = nil
		end <- runners.Result{Class: runners.Succeeded, Outputs: map[string]string{"FLOUR": "x"}}
		synctest.Wait()
		if told := h.forge.told(); len(told) == 0 || told[len(told)-1] != report.Succeeded {
			t.Errorf("told %v, want succeeded last", told)
		}
	})
}

// panicking is a runner with a bug.
type panicking struct {
	*fakeRunner
	starts atomic.Int64
}

func (p *panicking) Start(context.Context, runners.Job) (string, error) {
	p.starts.Add(1)
	panic("index out of range")
}

// TestPoison: an attempt whose handling panics is tried again, slower each time, and buried at last; its run ends.
func TestPoison(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		runner := &panicking{fakeRunner: h.runner}
		h.as = runner
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		time.Sleep(10 * time.Second)
		if n := runner.starts.Load(); n < 6 || n > 20 {
			t.Errorf("two attempts were tried %d times in 10 s, want backoff", n)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		r := h.theRun()
		if r.State != run.Failed || !r.Settled() {
			t.Errorf("the run is %s, settled %v, want failed", r.State, r.Settled())
		}
		dead := h.dead(a)
		if len(dead) == 0 || dead[0].Item.Value.Line != "work-local" || dead[0].Why != "given up: panic: index out of range" || dead[0].Tries != 360 {
			t.Fatalf("the dead: got %+v, want the attempts and why", dead)
		}
		about := dead[0].Item.Value
		if about.Run != r.Plan.ID || about.Attempt < 1 || about.Task != "unit" && about.Task != "lint" {
			t.Errorf("what was given up: got %+v, want an attempt of the run", about)
		}
		if err := a.Retry(t.Context(), "work-local", dead[0].Item.ID); !errors.Is(err, run.ErrStale) {
			t.Errorf("retry of an attempt: got %v, want %v", err, run.ErrStale)
		}
		if err := a.Forget(t.Context(), "work-local", dead[0].Item.ID); err != nil {
			t.Error(err)
		}
		if got := h.dead(a); len(got) != len(dead)-1 {
			t.Errorf("the dead after one is forgotten: got %d, want %d", len(got), len(dead)-1)
		}
	})
}

// TestDeadAcrossLines lists the dead of all lines in pages of every size.
func TestDeadAcrossLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		a := h.idle()
		buryIn(t, h.plan, "d1", "d1")
		buryIn(t, h.plan, "d2", "d2")
		buryIn(t, h.work, "job", agent.Attempt{Run: "r", Task: "unit", Attempt: 2})
		buryIn(t, h.report, "r", "r")
		want := []run.Reference{
			{Line: "plan", Delivery: "d2"},
			{Line: "plan", Delivery: "d1"},
			{Line: "work-local", Run: "r", Task: "unit", Attempt: 2},
			{Line: "report", Run: "r"},
		}
		for limit := 1; limit <= 5; limit++ {
			var got []run.Reference
			for cursor, more := "", true; more; more = cursor != "" {
				items, next, err := a.Dead(t.Context(), cursor, limit)
				if err != nil || len(items) > limit {
					t.Fatalf("page of %d: got %d, %v", limit, len(items), err)
				}
				for _, d := range items {
					got = append(got, d.Item.Value)
				}
				cursor = next
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
			}
		}
		for _, c := range []string{"plan/x", "nowhere/1", "x"} {
			if _, _, err := a.Dead(t.Context(), c, 10); !errors.Is(err, queue.ErrCursor) {
				t.Errorf("from %q: got %v, want %v", c, err, queue.ErrCursor)
			}
		}
		for _, where := range [][2]string{{"plan", "d3"}, {"report", "d1"}, {"nowhere", "d1"}} {
			if err := a.Retry(t.Context(), where[0], where[1]); !errors.Is(err, queue.ErrNotFound) {
				t.Errorf("retry %v: got %v, want %v", where, err, queue.ErrNotFound)
			}
			if err := a.Forget(t.Context(), where[0], where[1]); !errors.Is(err, queue.ErrNotFound) {
				t.Errorf("forget %v: got %v, want %v", where, err, queue.ErrNotFound)
			}
		}
	})
}

func buryIn[T any](t *testing.T, q queue.Queue[T], id string, value T) {
	t.Helper()
	if err := q.Push(t.Context(), queue.Item[T]{ID: id, Value: value}); err != nil {
		t.Fatal(err)
	}
	leases, err := q.Lease(t.Context(), "undertaker", 1)
	if err != nil || len(leases) != 1 {
		t.Fatalf("lease: got %v, %v", leases, err)
	}
	if err := q.Bury(t.Context(), leases[0], "why"); err != nil {
		t.Fatal(err)
	}
}

// dead lists what was given up.
func (h *house) dead(a *agent.Agent) []queue.Dead[run.Reference] {
	h.t.Helper()
	items, next, err := a.Dead(h.t.Context(), "", 100)
	if err != nil || next != "" {
		h.t.Fatalf("the dead: next %q, %v", next, err)
	}
	return items
}

func (h *house) retry(a *agent.Agent, line, id string) {
	h.t.Helper()
	if err := a.Retry(h.t.Context(), line, id); err != nil {
		h.t.Fatal(err)
	}
}

// TestDeadOfOthers: who has no runners lists the dead of all lines, those of runners that nobody has any more too, and
// takes them off.
func TestDeadOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		gone := memq.New[agent.Attempt](memq.Config{LeaseTime: lease})
		h.buried = map[string]*memq.Queue[agent.Attempt]{"kube-gone": gone, "local": h.work}
		item := queue.Item[agent.Attempt]{ID: "mr-1", Value: agent.Attempt{Run: "r", Task: "unit", Attempt: 1}}
		for _, line := range h.buried {
			if err := line.Push(t.Context(), item); err != nil {
				t.Fatal(err)
			}
			leases, err := line.Lease(t.Context(), "w", 1)
			if err != nil {
				t.Fatal(err)
			}
			if err := line.Bury(t.Context(), leases[0], "why"); err != nil {
				t.Fatal(err)
			}
		}
		a := h.idle()
		var lines []string
		for _, d := range h.dead(a) {
			lines = append(lines, d.Item.Value.Line)
		}
		if diff := cmp.Diff([]string{"work-kube-gone", "work-local"}, lines); diff != "" {
			t.Errorf("lines of the dead (-want +got):\n%s", diff)
		}
		if err := a.Forget(t.Context(), "work-kube-gone", "mr-1"); err != nil {
			t.Error(err)
		}
		if left := h.dead(a); len(left) != 1 {
			t.Errorf("left: %+v, want one", left)
		}
	})
}
