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
