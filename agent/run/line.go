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
		return "succeeded in " + took(r)
	case Failed:
		if r.StartedAt.IsZero() {
			return r.Reason
		}
		return r.Reason + " after " + took(r)
	}
	return r.Reason
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

// took is how long the run ran, in seconds, below ten of them with one decimal.
func took(r Run) string {
	d := r.EndedAt.Sub(r.StartedAt)
	unit := time.Second
	if d < 10*time.Second {
		unit = 100 * time.Millisecond
	}
	return brief(d.Round(unit))
}

// Untold tells whether a telling is outstanding.
func (r Run) Untold() bool { return !r.told(StatusListener, r.Telling()) }

// ToldAt is when the run's state was told last, the zero time if it never was.
func (r Run) ToldAt() time.Time {
	for _, t := range r.Told {
		if t.To == StatusListener {
			return t.At
		}
	}
	return time.Time{}
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
