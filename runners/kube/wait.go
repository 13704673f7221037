package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/millrace-ci/millrace/runners"
)

// Wait is runners.Runner's. It follows what the watch tells; a job that starts and ends as it should costs no call to the
// API beside one for each container's log and, each time that a container starts, one for each Secret that the job refers
// to; its own Secret is read once. A job whose secrets cannot be hidden is ended as runners.Refused. Whoever waits also ends what is
// to be ended: the job that ran longer than its timeout, and the one that cannot start.
func (r *Runner) Wait(ctx context.Context, id, uid string, log runners.Log) (runners.Result, error) {
	if !runners.ValidID(id) {
		return lost("no job has such an id"), nil
	}
	w := &waiter{Runner: r, id: id, uid: types.UID(uid), last: resort{Runner: r}}
	if err := w.run(ctx, log); err != nil {
		return runners.Result{}, fmt.Errorf("wait for job %s: %w", id, err)
	}
	return *w.result, nil
}

// waiter is one Wait. Its goroutine follows the log; what happens to the job is looked at in turns. There may be
// thousands, so that what they keep is small, on the stack too.
type waiter struct {
	*Runner
	id       string
	uid      types.UID
	hider    *hider
	follower *follower
	turns    turns

	// What follows is of the turns, and of the waiter's goroutine once they have ended.
	pods     []packedPod    // as seen last
	events   []corev1.Event // of the job and its pods, as of eventsAt
	eventsAt time.Time
	last     resort
	alarm    *time.Timer     // wakes when there is something to judge though nothing has changed; nil: never yet
	result   *runners.Result // nil until it is known

	mu      sync.Mutex
	refused error // why the job is ended that could not be refused before it was made
	broken  any   // what a turn panicked with, or the error after which nobody can say how the job fares
}

// run waits until the job has ended and its log was read. Only then all is known that must be hidden in what the cluster
// says.
func (w *waiter) run(ctx context.Context, log runners.Log) error {
	if err := w.watch.ready(ctx); err != nil {
		return err
	}
	var err error
	apart(func() { err = w.meet(ctx, log) })
	if err != nil || w.result != nil {
		return err
	}
	if err := w.follow(ctx); err != nil {
		return err
	}
	w.conclude()
	return nil
}

// meet looks whether there is such a job, and prepares its log.
func (w *waiter) meet(ctx context.Context, log runners.Log) error {
	job, err := w.current(ctx, w.id)
	switch {
	case err != nil:
		return err
	case job == nil:
		w.result = new(lost("there is no Job of this name"))
		return nil
	case job.UID != w.uid:
		w.result = new(lost(fmt.Sprintf("another Job has its name: its uid is %s instead of %s", job.UID, w.uid)))
		return nil
	}
	w.hider = newHider(job, w.secret)
	w.follower, err = newFollower(w.stream, log, w.hider)
	return err
}

// follow copies the log while the turns look after the job, until both have come to an end.
func (w *waiter) follow(ctx context.Context) error {
	watched, cancel := context.WithCancel(ctx)
	w.turns.do = func() { w.turn(watched, cancel) }
	unsubscribe := w.watch.subscribe(w.id, w.turns.wake)
	defer func() {
		unsubscribe()
		cancel()
		w.turns.end()
		w.wakeAt(time.Time{})
	}()
	w.turns.wake()
	err := w.follower.run(watched)
	if errors.Is(err, runners.ErrRefused) { // The job is refused, if late.
		w.refuse(err)
		w.turns.wake()
		err = nil
	}
	if err == nil {
		err = w.follower.end(watched)
	}
	return w.failure(ctx, err)
}

// turn takes a step. One that fails ends the Wait.
func (w *waiter) turn(ctx context.Context, end func()) {
	var err error
	broken := caught(func() { err = w.step(ctx) })
	if broken == nil && err != nil {
		broken = err
	}
	if broken != nil {
		w.mu.Lock()
		w.broken = broken
		w.mu.Unlock()
		end()
	}
}

// failure is the error that Wait ends with, where that of the log, or of waiting for more of it, is err. A panic of a turn
// is one of Wait.
func (w *waiter) failure(ctx context.Context, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	broken, failed := w.broken.(error)
	switch {
	case w.broken != nil && !failed:
		panic(w.broken)
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case failed:
		return broken
	}
	return err
}

func (w *waiter) refuse(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused = why
}

func (w *waiter) refusal() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refused
}

// conclude hides in the result what must be hidden.
func (w *waiter) conclude() {
	if why := w.refusal(); why != nil {
		w.result = new(unshown(*w.result, why))
		return
	}
	w.result.Reason = w.hider.words(w.result.Reason)
}

// unshown is the result of a job of which nothing may be shown.
func unshown(res runners.Result, why error) runners.Result {
	return runners.Result{Class: runners.Refused, ExitCode: res.ExitCode, Reason: why.Error(), StartedAt: res.StartedAt, EndedAt: res.EndedAt}
}
