package run

import (
	"fmt"
	"slices"
	"time"
)

// Told is the record of telling one state to one listener: what was said, and what came of the last of its tries. As a
// Fact it is one such try.
type Told struct {
	To      string        `json:"to"`                // listener
	State   string        `json:"state"`             // see Tell
	At      time.Time     `json:"at"`                // when the last try ended
	Error   string        `json:"error,omitempty"`   // why the last try failed; "": it was told, or left out
	Again   bool          `json:"again,omitempty"`   // it is to be tried again; without that, what failed is given up
	Context string        `json:"context,omitempty"` // what the listener shows it under, like millrace/build
	Said    string        `json:"said,omitempty"`    // the state that was shown, where that is not State
	Text    string        `json:"text,omitempty"`    // what was said beside the state
	Took    time.Duration `json:"took,omitempty"`    // how long the last try took
	Status  int           `json:"status,omitempty"`  // of HTTP, of the last answer; 0: there was none
	Answer  string        `json:"answer,omitempty"`  // what the listener said to it, or why it was left out
	Tries   int           `json:"tries,omitempty"`   // 0: not counted
}

// maxPast bounds the records of a run that say nothing any more of what a listener knows.
const maxPast = 20

func (Told) fact() {}

// tell records a try. Tries of the same telling share one record, so that a listener that is away for long fills none.
func (r *Run) tell(f Told) error {
	if !r.listens(f.To) {
		return fmt.Errorf("tell %q: no such listener: %w", f.To, ErrImpossible)
	}
	f.Tries = max(f.Tries, 1)
	i := r.lastTold(f.To)
	switch {
	case i < 0 || r.Told[i].State != f.State:
		if i >= 0 && f.At.Before(r.Told[i].At) {
			f.At = r.Told[i].At // Another agent's clock goes ahead; what was told last has to have the latest time.
		}
		r.Told = append(slices.Clip(r.Told), f)
		r.forgetTold()
	case !r.Told[i].Again, f.Again && !f.At.After(r.Told[i].At):
		return nil // told twice: the first time is kept
	default:
		f.Tries += r.Told[i].Tries
		if f.At.Before(r.Told[i].At) {
			f.At = r.Told[i].At
		}
		r.Told = slices.Clone(r.Told)
		r.Told[i] = f
	}
	return nil
}

// forgetTold drops the oldest records that a later one of the same listener has made past, where there are too many.
func (r *Run) forgetTold() {
	past := 0
	kept := make([]Told, 0, len(r.Told))
	for i, t := range slices.Backward(r.Told) {
		last := i == r.lastTold(t.To)
		if !last {
			past++
		}
		if last || past <= maxPast {
			kept = append(kept, t)
		}
	}
	slices.Reverse(kept)
	r.ToldBefore += len(r.Told) - len(kept)
	r.Told = kept
}

// lastTold is the place of a listener's last record, -1 for none. That is the one with the latest time: a Millrace that
// kept one record of each listener puts what it tells in the place of the first.
func (r *Run) lastTold(to string) int {
	last := -1
	for i := range r.Told {
		if t := &r.Told[i]; t.To == to && (last < 0 || !t.At.Before(r.Told[last].At)) {
			last = i
		}
	}
	return last
}

// told tells whether a listener was told this state last, or it was given up to tell it.
func (r *Run) told(t Tell) bool {
	i := r.lastTold(t.To)
	return i >= 0 && r.Told[i].State == t.State && !r.Told[i].Again
}

// Recorded tells whether there is a record of telling this, however it ended.
func (r Run) Recorded(t Tell) bool {
	return slices.ContainsFunc(r.Told, func(o Told) bool { return o.To == t.To && o.State == t.State })
}

// ToldAt is when a listener was told something last, the zero time if it never was.
func (r Run) ToldAt(to string) (at time.Time) {
	for _, t := range r.Told {
		if t.To == to && !t.Again && t.At.After(at) {
			at = t.At
		}
	}
	return at
}

// GivenUp are the listeners that do not know how the run is, since it was given up to tell them, each with its record.
func (r Run) GivenUp() []Told {
	var all []Told
	for _, l := range r.Listeners() {
		if i := r.lastTold(l.To); i >= 0 && r.Told[i].Error != "" && !r.Told[i].Again {
			all = append(all, r.Told[i])
		}
	}
	return all
}

// Retell asks that a listener be told after all what telling it was given up on. What it was told stays told.
type Retell struct {
	To string
	At time.Time
}

func (Retell) fact() {}

// retell takes back that the telling is over: then it is outstanding again, in the words of the run's present state.
func (r *Run) retell(f Retell) error {
	if !r.listens(f.To) {
		return fmt.Errorf("tell %q again: no such listener: %w", f.To, ErrImpossible)
	}
	if i := r.lastTold(f.To); i >= 0 && r.Told[i].Error != "" && !r.Told[i].Again {
		r.Told = slices.Clone(r.Told)
		r.Told[i].Again = true
	}
	return nil
}
