package run

import (
	"cmp"
	"slices"
	"time"
)

// Starts estimates when a run that waits in the lane starts, if each run takes as long as typical says from its start to
// its end. It is false where that cannot be told: the run does not wait there, or of one before it nobody knows (typical
// says 0) how long it takes.
func (l Lane) Starts(id string, at time.Time, typical func(Run) time.Duration) (time.Time, bool) {
	var ends []time.Time // of those before, in their order
	for i, r := range l {
		start := r.StartedAt
		if r.Held() {
			start = free(ends, i-r.Plan.Lane.Limit, at)
		}
		if r.Plan.ID == id {
			return start, r.Held()
		}
		takes := typical(r)
		switch {
		case r.Ending != nil:
			ends = append(ends, at)
		case takes <= 0 || r.State == Unreadable:
			return time.Time{}, false
		default:
			if start.IsZero() { // it was let go, and no worker has it yet
				start = at
			}
			end := start.Add(takes)
			ends = append(ends, slices.MaxFunc([]time.Time{end, at}, time.Time.Compare))
		}
	}
	return time.Time{}, false
}

// free is when all but a limit of the runs before have ended, of which nth is the last that has to.
func free(ends []time.Time, nth int, at time.Time) time.Time {
	if nth < 0 {
		return at
	}
	return slices.SortedFunc(slices.Values(ends), time.Time.Compare)[nth]
}

// Typical is the median of how long runs took from their start to their end, 0 if none of them says.
func Typical(runs []Run) time.Duration {
	var took []time.Duration
	for _, r := range runs {
		if !r.StartedAt.IsZero() && !r.EndedAt.IsZero() {
			took = append(took, max(r.EndedAt.Sub(r.StartedAt), time.Millisecond))
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.SortFunc(took, cmp.Compare)
	return took[len(took)/2]
}
