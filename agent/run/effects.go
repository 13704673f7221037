package run

import "slices"

// Effect is what a Run wants of the world. Carrying one out twice does what carrying it out once does.
type Effect interface{ effect() }

// Enqueue wants the attempt to be in line, or held by a worker, who starts its job or watches the one that is there.
type Enqueue struct {
	Task    string
	Attempt int
	Line    string
}

// Stop wants the attempt's job to be gone. Whoever holds the attempt does it; so that somebody holds it, it is put in
// line like an Enqueue, and so a Stop can never cross a start that another worker is making.
type Stop struct {
	Task    string
	Attempt int
	Line    string
}

// Tell wants a listener told of the run's state. It is over when Told names the same listener and state.
type Tell struct {
	To    string
	State string
}

// Admit wants the lane looked at: somebody in it may be to be started or to be ended, see Lane.Admit.
type Admit struct {
	Lane string
}

func (Enqueue) effect() {}
func (Stop) effect()    {}
func (Tell) effect()    {}
func (Admit) effect()   {}

// Outstanding recomputes from the state alone what the run still wants. The reaper carries it out for every live run,
// which heals whatever a crash left undone.
func (r Run) Outstanding() []Effect {
	var wants []Effect
	for i := range r.Tasks {
		if e := r.want(&r.Tasks[i]); e != nil {
			wants = append(wants, e)
		}
	}
	for _, t := range r.Untold() {
		wants = append(wants, t)
	}
	if r.Held() {
		wants = append(wants, Admit{r.Plan.Lane.Name})
	}
	return wants
}

// want is what one task wants, nil for nothing.
func (r *Run) want(t *Task) Effect {
	switch t.State {
	case Waiting, Queued, Running: // a running attempt wants somebody who watches it, a waiting one who starts it when it is due
		return Enqueue{t.Name, t.Attempt, r.plan(t).Line}
	case Canceling:
		return Stop{t.Name, t.Attempt, r.plan(t).Line}
	}
	return nil
}

// wanted is what is outstanding now and was not before. Only tasks that moved are looked at: a transition's cost hangs
// on what it changes.
func wanted(before, now Run) []Effect {
	var more []Effect
	for i := range now.Tasks {
		was, is := &before.Tasks[i], &now.Tasks[i]
		if was.State == is.State && was.Attempt == is.Attempt {
			continue
		}
		if e := now.want(is); e != nil && e != before.want(was) {
			more = append(more, e)
		}
	}
	old := before.Untold()
	for _, t := range now.Untold() {
		if !slices.Contains(old, t) {
			more = append(more, t)
		}
	}
	return more
}

// Settled tells whether the run wants nothing any more, now or later.
func (r Run) Settled() bool {
	return r.State.Final() && len(r.Outstanding()) == 0
}
