// Package report is the room that tells: Notice is one thing worth telling and Notifier is somebody to tell. The
// agent's reporter makes notices from runs and hands them to notifiers; a forge's commit statuses are one of those.
// This package is the contract and the words of layering (Permanent); it knows no run, no forge and no queue.
package report

import (
	"context"
	"errors"
	"time"
)

// Notifier tells somebody. Notify may be called again with the same Notice after a crash: telling twice does what
// telling once does wherever the other side allows it. An error means 'not told, try again' unless it is Permanent. The
// Answer is what came of it, also where there is an error.
type Notifier interface {
	Notify(ctx context.Context, n Notice) (Answer, error)
}

// Answer is what the other side said, for the record. The zero Answer is that it said nothing.
type Answer struct {
	Status int    // of HTTP, of the last answer
	Words  string // its own, shortened, and without what we prove ourselves by; "" where a success says nothing of interest
}

// State is the state of a run, a task or a commit as it is told, one word for each thing that a forge can show.
type State string

// The states that are told.
const (
	Pending     State = "pending"      // accepted, not started
	Running     State = "running"      // also while it is being canceled
	Succeeded   State = "succeeded"    //
	Failed      State = "failed"       //
	Broken      State = "broken"       // the definition cannot be read
	Canceled    State = "canceled"     //
	NotAffected State = "not_affected" // required, and nothing to do
	Skipped     State = "skipped"      // of a task: it was passed over
	Ignored     State = "ignored"      // of a task: it failed, and the run goes on
)

// Final tells whether no other state of the run follows.
func (s State) Final() bool { return s != Pending && s != Running }

// Notice is one thing worth telling. It is flat: whoever tells needs nothing else.
type Notice struct {
	ID       string // idempotency id: the same for the same telling
	Run      string // "": it is the state of all runs of the commit
	Forge    string // name of the configured forge
	Repo     string // owner/name
	Commit   string
	Ref      string
	Refs     []string // all that it is told of, where that are several; a forge that shows states of refs shows it at each
	Pipeline string
	Context  string // of the commit status: millrace/<pipeline>, millrace/<pipeline>/<task>, or millrace for all of a commit
	State    State
	Text     string // one line for people
	URL      string // page of the run
	At       time.Time
	// Details says in Markdown what Text has no room for. It may ask for it, so who has room calls it, and nobody else; nil:
	// there are none.
	Details func(ctx context.Context) string
}

// Permanent marks err as one that trying again will not mend: the token may not, the commit is not there.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// IsPermanent tells whether err was marked by Permanent.
func IsPermanent(err error) bool {
	var p permanent
	return errors.As(err, &p)
}

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Omit marks err as the reason why a telling was left out on purpose, since a later one will say more. It is Permanent.
func Omit(err error) error { return Permanent(omitted{err}) }

// IsOmitted tells whether err was marked by Omit.
func IsOmitted(err error) bool {
	var o omitted
	return errors.As(err, &o)
}

type omitted struct{ error }

func (o omitted) Unwrap() error { return o.error }

// RetryAfter marks err as one that the other side asked to be tried again no sooner than wait from now.
func RetryAfter(err error, wait time.Duration) error { return later{err, wait} }

// Wait tells how long the other side asked to wait before the next try, 0 if it did not say.
func Wait(err error) time.Duration {
	if l, ok := errors.AsType[later](err); ok {
		return l.wait
	}
	return 0
}

type later struct {
	error
	wait time.Duration
}

func (l later) Unwrap() error { return l.error }
