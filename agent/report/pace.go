package report

import "time"

// spacing is the least time between two tellings of a run to one listener, but for its first and its last.
const spacing = 5 * time.Second

// Due tells how long the telling of state has to wait still, at the time now: 0 for the first of a run and for its end,
// else what is missing to 5 seconds after last, when something was told before; a zero last is never. What has to wait
// is told as it is then, or left out if it is over by then.
func Due(state State, last, now time.Time) time.Duration {
	if last.IsZero() || state.Final() {
		return 0
	}
	return min(max(0, spacing-now.Sub(last)), spacing)
}
