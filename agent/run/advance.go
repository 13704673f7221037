package run

import (
	"fmt"
	"time"
)

// New makes the run of a snapshot at its start, and says what it wants first.
func New(plan *Snapshot) (Run, []Effect) {
	r := Run{Plan: plan, State: Waiting}
	for i, s := range plan.Stages {
		for j, t := range s.Tasks {
			r.Tasks = append(r.Tasks, Task{Name: t.Name, Stage: i, Place: j, State: Pending})
		}
	}
	if plan.Skip != "" {
		r.passOver(plan.Skip, plan.CreatedAt)
	}
	r.advance(plan.CreatedAt)
	r.settle(plan.CreatedAt)
	return r, r.Outstanding()
}

// startWithin bounds how long a run waits in line for its first start: by then its runner is gone for good, taken out of
// the configuration or with its machine.
const startWithin = 24 * time.Hour

// Deadline is when the run expires: when its timeout passes or, before it has started, when nobody took it for a day
// after it was admitted. It is zero where neither can happen.
func (r Run) Deadline() time.Time {
	switch {
	case r.State.Final(), r.Held():
		return time.Time{}
	case r.StartedAt.IsZero() && r.AdmittedAt.IsZero():
		return r.Plan.CreatedAt.Add(startWithin)
	case r.StartedAt.IsZero():
		return r.AdmittedAt.Add(startWithin)
	case r.Plan.Timeout == 0:
		return time.Time{}
	}
	return r.StartedAt.Add(r.Plan.Timeout)
}

// advance gives their turn to the tasks that have it. Stages go in order; a stage is over when all its tasks are final.
// After a failure that is not ignored, what was still to come is passed over.
func (r *Run) advance(at time.Time) {
	if r.Ending != nil || r.State.Final() || r.Held() {
		return
	}
	failed := ""
	for first := 0; first < len(r.Tasks); {
		stage := r.stage(first)
		if !r.advanceStage(stage, failed, at) {
			return
		}
		for i := range stage {
			if t := &stage[i]; t.State == Failed && !t.Ignored && failed == "" {
				failed = t.Name
			}
		}
		first += len(stage)
	}
}

// advanceStage does it for one stage and tells whether that is over. failed names a task of an earlier stage that
// failed, "" if none did.
func (r *Run) advanceStage(stage []Task, failed string, at time.Time) bool {
	over := true
	parallel := r.Plan.Stages[stage[0].Stage].Parallel
	for i := range stage {
		t := &stage[i]
		switch {
		case t.State == Pending && failed != "":
			t.State, _ = after(t.State, passOver)
			t.Reason, t.EndedAt = fmt.Sprintf("%s failed", failed), at
		case t.State == Pending && (parallel || over):
			t.State, _ = after(t.State, turn)
			t.Attempt, t.QueuedAt = 1, at
		}
		if !t.State.Final() {
			over = false
		}
		if !parallel && t.State == Failed && !t.Ignored && failed == "" {
			failed = t.Name
		}
	}
	return over
}

// passOver skips every task that has not had its turn.
func (r *Run) passOver(reason string, at time.Time) {
	for i := range r.Tasks {
		if to, ok := after(r.Tasks[i].State, passOver); ok {
			r.Tasks[i].State, r.Tasks[i].Reason, r.Tasks[i].EndedAt = to, reason, at
		}
	}
}

// stage is the tasks of one stage, beginning with the task at index first.
func (r *Run) stage(first int) []Task {
	end := first
	for end < len(r.Tasks) && r.Tasks[end].Stage == r.Tasks[first].Stage {
		end++
	}
	return r.Tasks[first:end]
}

// settle derives the run's own state from its tasks'.
func (r *Run) settle(at time.Time) {
	if r.State.Final() {
		return
	}
	state, reason := r.derive()
	if r.StartedAt.IsZero() {
		r.StartedAt = r.firstStart()
	}
	if state.Final() {
		r.EndedAt = at
	}
	r.State, r.Reason = state, reason
}

func (r *Run) derive() (State, string) {
	switch {
	case len(r.Plan.Problems) > 0:
		return Failed, r.Plan.Problems[0].String()
	case r.Plan.Skip != "":
		return Skipped, r.Plan.Skip
	}
	final, begun, ran, failed := true, !r.StartedAt.IsZero(), false, ""
	for i := range r.Tasks {
		t := &r.Tasks[i]
		final = final && t.State.Final()
		begun = begun || !t.StartedAt.IsZero()
		ran = ran || t.State != Skipped
		if t.State == Failed && !t.Ignored && failed == "" {
			failed = t.Name + " failed"
		}
	}
	switch {
	case !final && r.Ending != nil:
		return Canceling, r.Ending.Reason
	case !final && begun:
		return Running, ""
	case !final:
		return Waiting, r.heldBy()
	case r.Ending != nil:
		return r.Ending.State, r.Ending.Reason
	case failed != "":
		return Failed, failed
	case ran:
		return Succeeded, ""
	}
	return Skipped, "nothing ran"
}

func (r *Run) firstStart() time.Time {
	var first time.Time
	for i := range r.Tasks {
		if at := r.Tasks[i].StartedAt; !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}
