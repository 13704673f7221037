package run

import "slices"

// StatusListener is the listener that every run has: the commit's status at the forge.
const StatusListener = "status"

// What a run's state is called when it is told; a word of package report each.
const (
	tellPending     = "pending"
	tellRunning     = "running"
	tellBroken      = "broken"
	tellNotAffected = "not_affected"
)

// Listeners are those that the run has, each with what it is to be told as the run is now.
func (r Run) Listeners() []Tell {
	return []Tell{{StatusListener, r.Telling()}}
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
