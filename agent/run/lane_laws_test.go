package run_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

// laneWorld is a lane, and those who admit to it: each looked at it some time ago and decides by what it saw then.
type laneWorld struct {
	t       rapid.TB
	draw    func(n int) int
	runs    []run.Run // all that ever came, in order
	ahead   []int     // how many live runs were before each when it came
	allowed []pipeline.Concurrency
	decided [][]run.Verdict
	at      time.Time
}

// TestLaneLaws lets runs come and go while several look at the lane, and decide on what they saw later and in any order.
func TestLaneLaws(t *testing.T) {
	t.Parallel()
	for name, policies := range map[string][]string{
		"queue": {pipeline.Queue}, "cancel_running": {pipeline.CancelRunning}, "drop": {pipeline.Drop},
		"mixed": {pipeline.Queue, pipeline.CancelRunning, pipeline.Drop},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				w := &laneWorld{t: t, at: laneStart, draw: func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }}
				for range 1 + w.draw(3) {
					w.allowed = append(w.allowed, pipeline.Concurrency{
						Group: "g", Limit: 1 + w.draw(3), WhenFull: policies[w.draw(len(policies))], MaxQueue: 1 + w.draw(4),
					})
				}
				for range 60 {
					w.step()
					w.check()
				}
				w.drain()
			})
		})
	}
}

func (w *laneWorld) step() {
	w.at = w.at.Add(time.Second)
	switch w.draw(6) {
	case 0, 1:
		w.arrive()
	case 2:
		w.decided = append(w.decided, w.look())
	case 3, 4:
		w.carryOut()
	case 5:
		if live := w.live(); len(live) > 0 {
			w.end(live[w.draw(len(live))])
		}
	}
}

// live is which runs are in the lane.
func (w *laneWorld) live() []int {
	var live []int
	for i, r := range w.runs {
		if r.InLane() {
			live = append(live, i)
		}
	}
	return live
}

// arrive does what a store does when a run is created.
func (w *laneWorld) arrive() {
	happened := laneStart.Add(time.Duration(w.draw(50)) * time.Second)
	r := inLane(fmt.Sprint("r", len(w.runs)), w.allowed[w.draw(len(w.allowed))], happened)
	before := len(w.live())
	w.runs, w.ahead = append(w.runs, r), append(w.ahead, before)
	if before < r.Plan.Lane.Limit {
		w.tell(len(w.runs)-1, run.Admitted{At: w.at})
	}
}

func (w *laneWorld) look() []run.Verdict {
	var lane run.Lane
	for _, i := range w.live() {
		lane = append(lane, w.runs[i])
	}
	verdicts := lane.Admit(w.at)
	for _, v := range verdicts {
		w.checkVerdict(v)
	}
	return verdicts
}

// carryOut tells one run what somebody decided before.
func (w *laneWorld) carryOut() {
	if len(w.decided) == 0 {
		return
	}
	who := w.draw(len(w.decided))
	if len(w.decided[who]) == 0 {
		w.decided = slices.Delete(w.decided, who, who+1)
		return
	}
	v := w.decided[who][0]
	w.decided[who] = w.decided[who][1:]
	w.tell(w.index(v.Run), v.Fact)
}

// tell tells the run as it is now: whoever decided loads it again, as store.Apply does.
func (w *laneWorld) tell(i int, f run.Fact) {
	next, _, err := w.runs[i].Apply(f)
	if err != nil && !errors.Is(err, run.ErrStale) {
		w.t.Fatalf("%#v: %v", f, err)
	}
	if _, dropped := f.(run.Dropped); dropped && err == nil && !w.runs[i].AdmittedAt.IsZero() {
		w.t.Fatalf("%s was admitted, and was dropped after that", next.Plan.ID)
	}
	w.runs[i] = next
}

// end brings a run nearer to its end, whichever way.
func (w *laneWorld) end(i int) {
	switch r := w.runs[i]; {
	case r.State == run.Canceling:
		w.tell(i, run.Gone{Task: "t", Attempt: 1, At: w.at})
	case r.State == run.Running:
		w.tell(i, run.Ended{Task: "t", Attempt: 1, Result: runners.Result{Class: runners.Succeeded}, At: w.at})
	case !r.Held():
		w.tell(i, run.Started{Task: "t", Attempt: 1, Worker: "w", At: w.at})
	case w.draw(4) == 0:
		w.tell(i, run.Cancel{By: "carol", Reason: "canceled by carol", At: w.at})
	}
}

func (w *laneWorld) index(r run.Run) int {
	return slices.IndexFunc(w.runs, func(o run.Run) bool { return o.Plan.ID == r.Plan.ID })
}

// check holds that never more run than may.
func (w *laneWorld) check() {
	live, admitted, limit := w.live(), 0, 0
	for before, i := range live {
		if r := w.runs[i]; !r.Held() {
			admitted, limit = admitted+1, r.Plan.Lane.Limit
			if before >= limit {
				w.t.Fatalf("%s was admitted with %d live runs before it, and its limit is %d", r.Plan.ID, before, limit)
			}
		}
	}
	if admitted > limit {
		w.t.Fatalf("%d runs are admitted, and the limit of the last is %d", admitted, limit)
	}
}

// checkVerdict holds that an older event ends no newer one, and that a run is dropped only when it came to a full lane.
func (w *laneWorld) checkVerdict(v run.Verdict) {
	i := w.index(v.Run)
	switch f := v.Fact.(type) {
	case run.Cancel:
		by := slices.IndexFunc(w.runs, func(r run.Run) bool { return r.Plan.ID == strings.TrimPrefix(f.Reason, "superseded by run ") })
		old, younger := w.runs[i].Plan.Event.Time, w.runs[by].Plan.Event.Time
		if old.After(younger) || old.Equal(younger) && i > by {
			w.t.Fatalf("%s of %v is superseded by %s of %v", w.runs[i].Plan.ID, old, w.runs[by].Plan.ID, younger)
		}
	case run.Dropped:
		if w.ahead[i] < v.Run.Plan.Lane.Limit {
			w.t.Fatalf("%s came when %d were before it, and is dropped (%s)", v.Run.Plan.ID, w.ahead[i], f.Reason)
		}
	}
}

// drain lets nobody else come and everybody who may run end, and holds that the lane is empty soon and that those who
// waited started in the order in which they came; only one with a larger limit may start before another.
func (w *laneWorld) drain() {
	last := map[int]int{} // by limit
	for range 4*len(w.runs) + 4 {
		for _, v := range w.look() {
			i := w.index(v.Run)
			if _, ok := v.Fact.(run.Admitted); ok {
				limit := v.Run.Plan.Lane.Limit
				if i < last[limit] {
					w.t.Fatalf("%s starts after r%d", v.Run.Plan.ID, last[limit])
				}
				last[limit] = i
			}
			w.tell(i, v.Fact)
		}
		w.check()
		for _, i := range w.live() {
			if !w.runs[i].Held() {
				w.end(i)
			}
		}
	}
	if live := w.live(); len(live) > 0 {
		w.t.Fatalf("%d runs are left in the lane, the first %s is %s", len(live), w.runs[live[0]].Plan.ID, w.runs[live[0]].State)
	}
}
