package forgekit

import "time"

// Window is a span of time in which something is counted. The zero value is over; its user guards it.
type Window struct {
	End  time.Time
	Used int
}

// Take counts one more, in a new window of length d if the last is over, and tells whether it is within most; 0: any
// number is.
func (w *Window) Take(d time.Duration, most int) bool {
	if now := time.Now(); now.After(w.End) {
		*w = Window{End: now.Add(d)}
	}
	if most > 0 && w.Used >= most {
		return false
	}
	w.Used++
	return true
}

// RetryAfter is how many seconds it is to the window's end, rounded up.
func (w *Window) RetryAfter() int { return int(time.Until(w.End).Seconds()) + 1 }
