package run

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/triggers"
)

// LanePlan is the lane that a run stands in, and how it behaves there.
type LanePlan struct {
	Name string `json:"name"` // of the lane, in every store: 20 characters of [a-z2-7]
	pipeline.Concurrency
}

// laneOf is the lane of a repository's group. What a fork's request asks for is a stranger's word: it shares a lane only
// with what came by the same request.
func laneOf(p pipeline.Pipeline, e triggers.Event) *LanePlan {
	c := p.ConcurrencyOf(e)
	fork := ""
	if !e.Trusted() {
		fork = e.Ref
	}
	return &LanePlan{triggers.Digest(20, "lane", e.Forge, e.Repo.Name, fork, c.Group), c}
}

// InLane tells whether the run stands in its lane: from its making until it is final.
func (r Run) InLane() bool { return r.Plan.Lane != nil && !r.State.Final() }

// Held tells whether the run waits for its lane to let it start. A run without a lane never does.
func (r Run) Held() bool { return r.InLane() && r.AdmittedAt.IsZero() }

// heldBy says what the run waits for.
func (r *Run) heldBy() string {
	if !r.Held() {
		return ""
	}
	return "waits for earlier runs in lane " + r.Plan.Lane.Label()
}

func (r *Run) admit(f Admitted) error {
	switch {
	case r.Held():
		r.AdmittedAt = f.At
	case r.State.Final() && r.AdmittedAt.IsZero():
		return fmt.Errorf("admit: the run is %s: %w", r.State, ErrStale)
	}
	return nil // of others: told twice, or it needs nobody's leave
}

func (r *Run) drop(f Dropped) error {
	e := Ending{State: Canceled, By: byLane, Reason: f.Reason, At: f.At}
	switch {
	case r.Ending != nil && *r.Ending == e:
		return nil // told twice
	case !r.Held():
		return fmt.Errorf("drop: the run is %s: %w", r.State, ErrStale)
	}
	r.interrupt(cancel, e)
	return nil
}

// byLane is who ended a run that made room for another, or found none.
const byLane = "lane"

// Lane is the live runs that share a lane, in the order in which they arrived. It is nothing else: no state of its own is
// kept, so none can be wrong, and a lane cannot jam.
//
// A run may start when fewer live runs than its own limit stand before it. Who decides that may look at an old Lane: runs
// leave a lane and never come back, and a new one stands behind all that are there, so that the runs before any run only
// become fewer. What could start by the old Lane can start by the present one. So any number of agents admit at once,
// without a lock, and what each of them decides stays right however late it is saved. Of the admitted live runs fewer
// than its limit stand before the last, so that never more of them are live than that.
type Lane []Run

// Verdict is a fact to be told to a run of a lane.
type Verdict struct {
	Run  Run
	Fact Fact
}

// Admit says which runs of the lane are to be told what. Those that wait and have room before them are admitted. Of the
// others,
//   - cancel_running ends what is older than the newest runs that have room, by the time of their events, so that an old
//     event that comes late ends nothing and is ended itself; the newest starts when the older are gone;
//   - drop ends who found the lane full;
//   - queue ends the longest waiting while more wait than the last to come allows.
func (l Lane) Admit(at time.Time) []Verdict {
	var verdicts []Verdict
	tell := func(i int, f Fact) { verdicts = append(verdicts, Verdict{l[i], f}) }
	over := l.superseded()
	var waiting []int
	for i, r := range l {
		by, old := over[i]
		switch {
		case old:
			tell(i, Cancel{By: byLane, Reason: "superseded by run " + l[by].Plan.ID, At: at})
		case !r.Held():
		case i < r.Plan.Lane.Limit:
			tell(i, Admitted{At: at})
		case r.Plan.Lane.WhenFull == pipeline.Drop:
			tell(i, Dropped{Reason: fmt.Sprintf("lane %s was full: run %s was before it", r.Plan.Lane.Label(), l[i-1].Plan.ID), At: at})
		default:
			waiting = append(waiting, i)
		}
	}
	if len(waiting) == 0 {
		return verdicts
	}
	last := l[waiting[len(waiting)-1]].Plan
	for _, i := range waiting[:max(len(waiting)-last.Lane.MaxQueue, 0)] {
		tell(i, Dropped{Reason: fmt.Sprintf("made room for run %s: at most %d wait in lane %s", last.ID, last.Lane.MaxQueue, last.Lane.Label()), At: at})
	}
	return verdicts
}

// superseded tells which runs are to make room, and for which run: one that says cancel_running and whose limit is used
// up by it and others that are newer. Runs that are being ended, or cannot be read, neither
// ask for room nor are asked.
func (l Lane) superseded() map[int]int {
	var newest []int
	for i := range l {
		if l[i].Ending == nil && l[i].State != Unreadable {
			newest = append(newest, i)
		}
	}
	slices.SortFunc(newest, func(a, b int) int {
		return cmp.Or(l[b].Plan.Event.Time.Compare(l[a].Plan.Event.Time), b-a)
	})
	over := map[int]int{}
	for nth, old := range newest {
		for n, by := range newest[:nth] {
			if lane := l[by].Plan.Lane; lane.WhenFull == pipeline.CancelRunning && nth-n >= lane.Limit {
				over[old] = by
				break
			}
		}
	}
	return over
}

// Position tells where a held run stands among those that wait, from 1, and which run is directly before it; 0 for a run
// that does not wait there.
func (l Lane) Position(id string) (nth int, before string) {
	for _, r := range l {
		if r.Held() {
			nth++
		}
		if r.Plan.ID == id && r.Held() {
			return nth, before
		}
		before = r.Plan.ID
	}
	return 0, ""
}
