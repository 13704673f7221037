package kube

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/millrace-ci/millrace/runners"
)

const againAfter = 5 * time.Second // what the API did not do is tried again then

// step judges the job and does what follows from that. Once the result is known there is nothing to do any more.
func (w *waiter) step(ctx context.Context) error {
	if w.result != nil {
		return nil
	}
	s, err := w.look(ctx)
	if err != nil {
		return err
	}
	v, err := w.judge(ctx, &s)
	w.result = v.result
	w.follower.see(s, v)
	if w.result != nil {
		w.wakeAt(time.Time{})
		return nil
	}
	if why := w.refusal(); why != nil && !stopped(s.job) {
		v.end = &ending{class: runners.Refused, reason: why.Error(), started: v.started}
	}
	next := v.next
	if err == nil {
		next, err = w.act(ctx, s, v)
	}
	if err != nil && ctx.Err() == nil {
		w.cfg.Log.WarnContext(ctx, "cluster did not answer; to be asked again", "job", w.id, "err", err)
		next = time.Now().Add(againAfter)
	}
	w.wakeAt(next)
	return nil
}

// wakeAt is when to judge again although nothing has changed; zero: only a change matters.
func (w *waiter) wakeAt(next time.Time) {
	switch {
	case next.IsZero() && w.alarm != nil:
		w.alarm.Stop()
	case next.IsZero():
	case w.alarm == nil:
		w.alarm = time.AfterFunc(time.Until(next), w.turns.wake)
	default:
		w.alarm.Reset(time.Until(next))
	}
}

// act does what the verdict asks for, and returns when to judge again although nothing has changed.
func (w *waiter) act(ctx context.Context, s sight, v verdict) (time.Time, error) {
	next, now := v.next, time.Now()
	if w.watch.job(w.id) == nil {
		next = earlier(next, now.Add(unheardWait))
	}
	if v.end != nil {
		if err := w.shown(ctx, v.end); err != nil {
			return earlier(next, now.Add(againAfter)), err
		}
		_, err := w.end(ctx, s.job, *v.end)
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			err = nil // It has changed: that is on its way to us.
		}
		return earlier(next, now.Add(againAfter)), err
	}
	again, err := w.last.look(ctx, s.job, s.pods)
	return earlier(next, again), err
}

// shown hides in the reason of an ending what must be hidden; what cannot be is reason enough to end the job.
func (w *waiter) shown(ctx context.Context, e *ending) error {
	err := w.hider.once(ctx)
	if errors.Is(err, runners.ErrRefused) {
		w.refuse(err)
		err = nil
	}
	if err != nil {
		return err
	}
	if why := w.refusal(); why != nil {
		e.class, e.reason = runners.Refused, why.Error()
	} else {
		e.reason = w.hider.words(e.reason)
	}
	return nil
}

// earlier is the earlier one of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
