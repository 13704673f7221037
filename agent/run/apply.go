package run

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/runners"
)

// Errors that Apply returns, wrapped.
var (
	// ErrStale means that the fact is about something that is over: an attempt that ended, an older one. It is ordinary:
	// a dead worker's answer comes late. Who gets it for Started drops its lease and makes no job.
	ErrStale = errors.New("too late")
	// ErrImpossible means that the fact cannot be true of this run: no such task or attempt, a second uid.
	ErrImpossible = errors.New("cannot be")
)

// Apply tells the run one fact and returns the whole next run and what it wants of the world that it did not want
// before. r itself is not changed. With an error there are no effects, and r comes back. A fact told twice gives the
// same run, no effects and no error. Errors: ErrStale, ErrImpossible.
func (r Run) Apply(f Fact) (Run, []Effect, error) {
	next := r
	next.Tasks = slices.Clone(r.Tasks)
	at, err := next.take(f)
	if err != nil {
		return r, nil, err
	}
	next.advance(at)
	next.settle(at)
	return next, wanted(r, next), nil
}

// take changes what the fact itself says, and returns its time.
func (r *Run) take(f Fact) (time.Time, error) {
	switch f := f.(type) {
	case Started:
		return f.At, r.start(f)
	case Created:
		return f.At, r.create(f)
	case Ended:
		return f.At, r.end(f)
	case Due:
		return f.At, r.due(f)
	case Wrote:
		return f.At, r.write(f)
	case Gone:
		return f.At, r.vanish(f)
	case Admitted:
		return f.At, r.admit(f)
	case Dropped:
		return f.At, r.drop(f)
	case Cancel:
		r.interrupt(cancel, Ending{State: Canceled, By: f.By, Reason: f.Reason, At: f.At})
		return f.At, nil
	case Expired:
		r.interrupt(expire, Ending{State: Failed, Reason: r.expiry(), At: f.At})
		return f.At, nil
	case Told:
		return f.At, r.tell(f)
	case Retell:
		return f.At, r.retell(f)
	}
	return time.Time{}, fmt.Errorf("fact %T: %w", f, ErrImpossible)
}

func (r *Run) start(f Started) error {
	t, err := r.attempt(f.Task, f.Attempt)
	if err != nil {
		return err
	}
	if t.State.Final() {
		return fmt.Errorf("start %s/%d: it is %s: %w", t.Name, t.Attempt, t.State, ErrStale)
	}
	if err := t.move(started); err != nil {
		return err
	}
	t.Worker, t.Reason = f.Worker, ""
	if t.StartedAt.IsZero() {
		t.StartedAt = f.At
	}
	return nil
}

func (r *Run) create(f Created) error {
	t, err := r.attempt(f.Task, f.Attempt)
	switch {
	case err != nil:
		return err
	case t.UID == f.UID:
		return nil
	case t.UID != "":
		return fmt.Errorf("job of %s/%d is %s, and now also %s: %w", t.Name, t.Attempt, t.UID, f.UID, ErrImpossible)
	case t.State.Final():
		return fmt.Errorf("job of %s/%d: it is %s: %w", t.Name, t.Attempt, t.State, ErrStale)
	case t.State != Running && t.State != Canceling:
		return fmt.Errorf("job of %s/%d: it is %s: %w", t.Name, t.Attempt, t.State, ErrImpossible)
	}
	t.UID = f.UID
	return nil
}

func (r *Run) end(f Ended) error {
	if r.past(f) {
		return nil // told twice
	}
	t, err := r.attempt(f.Task, f.Attempt)
	if err != nil {
		return err
	}
	if t.State.Final() {
		if t.Class == f.Result.Class && t.ExitCode != nil && *t.ExitCode == f.Result.ExitCode {
			return nil // told twice
		}
		return fmt.Errorf("end of %s/%d: it is %s: %w", t.Name, t.Attempt, t.State, ErrStale)
	}
	v := failure
	switch {
	case t.State == Canceling:
		v = r.goneVerb()
	case f.Result.Class == runners.Succeeded:
		v = success
	default:
		if next, free := r.retry(t, f.Result); next > 0 {
			return t.repeat(f, next, free)
		}
	}
	if err := t.move(v); err != nil {
		return err
	}
	t.Class, t.ExitCode, t.EndedAt = f.Result.Class, &f.Result.ExitCode, t.ended(f)
	t.Outputs, t.Summary = f.Result.Outputs, f.Result.Summary
	if v == success || v == failure {
		t.Reason = f.Result.Reason
		t.Ignored = t.State == Failed && r.plan(t).IgnoreFailed
	}
	return nil
}

func (r *Run) vanish(f Gone) error {
	t, err := r.attempt(f.Task, f.Attempt)
	if err != nil {
		return err
	}
	if t.State.Final() {
		if r.Ending != nil && t.State == r.Ending.State {
			return nil // told twice
		}
		return fmt.Errorf("job of %s/%d gone: it is %s: %w", t.Name, t.Attempt, t.State, ErrStale)
	}
	if err := t.move(r.goneVerb()); err != nil {
		return err
	}
	t.EndedAt, t.Outputs = f.At, nil // Nobody knows what must be hidden in what it has sent.
	return nil
}

// interrupt ends the run early: what did not start is over at once, what runs is to be ended. A run that is over, or
// is being ended, stays as it is: the first who asked counts.
func (r *Run) interrupt(v verb, e Ending) {
	if r.State.Final() || r.Ending != nil {
		return
	}
	r.Ending = &e
	for i := range r.Tasks {
		t := &r.Tasks[i]
		to, ok := after(t.State, v)
		if !ok {
			continue
		}
		t.State, t.Reason, t.DueAt = to, e.Reason, time.Time{}
		if to.Final() {
			t.EndedAt = e.At
		}
	}
}

// expiry is why a run is over that expires now.
func (r *Run) expiry() string {
	if r.StartedAt.IsZero() {
		return "not started within " + brief(startWithin) + ": no worker of its runner took it"
	}
	return "timed out after " + brief(r.Plan.Timeout)
}

// attempt finds the task and checks that the fact speaks of its present attempt.
func (r *Run) attempt(name string, attempt int) (*Task, error) {
	i := r.index(name)
	switch {
	case i < 0:
		return nil, fmt.Errorf("no task %q: %w", name, ErrImpossible)
	case attempt > r.Tasks[i].Attempt || attempt < 1:
		return nil, fmt.Errorf("no attempt %d of %s: %w", attempt, name, ErrImpossible)
	case attempt < r.Tasks[i].Attempt:
		return nil, fmt.Errorf("attempt %d of %s: %d is the present one: %w", attempt, name, r.Tasks[i].Attempt, ErrStale)
	}
	return &r.Tasks[i], nil
}

// brief writes a duration without parts that are zero: 1h, not 1h0m0s.
func brief(d time.Duration) string {
	s := strings.Replace(d.String(), "m0s", "m", 1)
	return strings.Replace(s, "h0m", "h", 1)
}

func (r *Run) goneVerb() verb {
	if r.Ending != nil && r.Ending.State == Failed {
		return goneLate
	}
	return gone
}

func (t *Task) move(v verb) error {
	to, ok := after(t.State, v)
	if !ok {
		return fmt.Errorf("%s/%d is %s, not to be %q: %w", t.Name, t.Attempt, t.State, v, ErrImpossible)
	}
	t.State = to
	return nil
}
