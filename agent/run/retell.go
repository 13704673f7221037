package run

import (
	"fmt"
	"slices"
	"time"
)

// Retell asks that a listener be told after all what telling it was given up on. What it was told stays told.
type Retell struct {
	To string
	At time.Time
}

func (Retell) fact() {}

// retell takes back that the telling is over: then it is outstanding again, in the words of the run's present state.
func (r *Run) retell(f Retell) error {
	if f.To != StatusListener {
		return fmt.Errorf("tell %q again: no such listener: %w", f.To, ErrImpossible)
	}
	r.Told = slices.DeleteFunc(slices.Clone(r.Told), func(t Told) bool { return t.To == f.To && t.Error != "" })
	return nil
}
