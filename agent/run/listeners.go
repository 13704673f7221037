package run

import (
	"slices"
	"strings"
)

// The listeners: StatusListener is the one that every run has, the commit's status at the forge. SumListener is another
// status of the commit, of which all its runs together tell how they are; a run has it where its plan says so.
const (
	StatusListener = "status"
	SumListener    = "sum"
)

// TaskListener is the listener of one task, where the plan says so: a status of the commit, too.
func TaskListener(task string) string { return ofTask + task }

// ListenedTask is the task whose listener to is, "" for another listener.
func ListenedTask(to string) string {
	task, _ := strings.CutPrefix(to, ofTask)
	if task == to {
		return ""
	}
	return task
}

const ofTask = "status/"

// What a run's state is called when it is told; a word of package report each.
const (
	tellPending     = "pending"
	tellRunning     = "running"
	tellBroken      = "broken"
	tellNotAffected = "not_affected"
	tellSkipped     = "skipped"
	tellIgnored     = "ignored"
)

// Listeners are those that the run has, each with what it is to be told as the run is now.
func (r Run) Listeners() []Tell {
	all := []Tell{{StatusListener, r.Telling()}}
	if r.Plan.Status.Tasks {
		for i := range r.Tasks {
			if state := r.Tasks[i].telling(); state != "" {
				all = append(all, Tell{TaskListener(r.Tasks[i].Name), state})
			}
		}
	}
	if r.Plan.Status.Sum {
		all = append(all, Tell{SumListener, r.share()})
	}
	return all
}

// telling is the task's state in the words of package report, "" before it has its turn: then there is nothing to tell.
func (t *Task) telling() string {
	switch t.State {
	case Pending:
		return ""
	case Waiting, Queued:
		return tellPending
	case Running, Canceling:
		return tellRunning
	case Skipped:
		return tellSkipped
	}
	if t.Ignored {
		return tellIgnored
	}
	return string(t.State)
}

// share is the part of the run's life that the sum of its commit hangs on: whether it is over, and how.
func (r Run) share() string {
	if !r.State.Final() {
		return tellPending
	}
	return r.Telling()
}

// listens tells whether the run has such a listener.
func (r *Run) listens(to string) bool {
	return slices.ContainsFunc(r.Listeners(), func(t Tell) bool { return t.To == to })
}

// Untold is what is still to be told.
func (r Run) Untold() []Tell {
	return slices.DeleteFunc(r.Listeners(), r.told)
}

// Telling is the run's state in the words of package report.
func (r Run) Telling() string {
	switch {
	case len(r.Plan.Problems) > 0:
		return tellBroken
	case r.State == Skipped:
		return tellNotAffected
	case r.State == Waiting:
		return tellPending
	case r.State == Running, r.State == Canceling:
		return tellRunning
	}
	return string(r.State)
}
