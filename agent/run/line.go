package run

import (
	"cmp"
	"strings"
	"time"
)

// Line says in one line for people how the run is: the text of its commit status.
func (r Run) Line() string {
	switch r.State {
	case Waiting:
		return cmp.Or(r.Reason, "waiting to start")
	case Running:
		return "running " + strings.Join(r.active(), ", ")
	case Succeeded:
		return "succeeded in " + took(r.StartedAt, r.EndedAt)
	case Failed:
		if r.StartedAt.IsZero() {
			return r.Reason
		}
		return r.Reason + " after " + took(r.StartedAt, r.EndedAt)
	}
	return r.Reason
}

// Line says in one line for people how the task is: the text of its own status.
func (t Task) Line() string {
	switch t.State {
	case Waiting:
		return cmp.Or(t.Reason, "waiting for its next attempt")
	case Queued:
		return "waiting for a worker"
	case Running:
		return "running"
	case Canceling:
		return "being canceled"
	case Succeeded:
		return "succeeded in " + took(t.StartedAt, t.EndedAt)
	case Failed:
		why := cmp.Or(t.Reason, "failed")
		if t.Ignored {
			why = "ignored: " + why
		}
		if t.StartedAt.IsZero() {
			return why
		}
		return why + " after " + took(t.StartedAt, t.EndedAt)
	}
	return t.Reason
}

// active names the tasks that are in line or running.
func (r Run) active() []string {
	var names []string
	for i := range r.Tasks {
		if t := &r.Tasks[i]; !t.State.Final() && t.State != Pending {
			names = append(names, t.Name)
		}
	}
	return names
}

// took is how long something took, in seconds, below ten of them with one decimal.
func took(from, to time.Time) string {
	d := to.Sub(from)
	unit := time.Second
	if d < 10*time.Second {
		unit = 100 * time.Millisecond
	}
	return brief(d.Round(unit))
}

// Changed is when the run got into its present state, as far as its own times tell.
func (r Run) Changed() time.Time {
	switch {
	case !r.EndedAt.IsZero():
		return r.EndedAt
	case !r.StartedAt.IsZero():
		return r.StartedAt
	}
	return r.Plan.CreatedAt
}
