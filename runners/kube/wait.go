package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-ci/millrace/runners"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	againAfter  = 5 * time.Second  // what the API did not do is tried again then
	unheardWait = 30 * time.Second // a Job that was asked for and never heard of is asked for again then
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

// waiter is one Wait. There may be thousands: what they keep, on their stacks too, is small.
type waiter struct {
	*Runner
	id       string
	uid      types.UID
	bell     <-chan struct{}
	hider    *hider
	follower *follower
	copied   <-chan error // gets the follower's end; nil once that was taken

	sight   sight
	last    resort
	refused error           // why the job is ended that could not be refused before it was made
	result  *runners.Result // nil until it is known
}

// run waits until the job has ended and its log was read.
func (w *waiter) run(ctx context.Context, log runners.Log) error {
	if err := w.watch.ready(ctx); err != nil {
		return err
	}
	bell, end := w.watch.subscribe(w.id)
	defer end()
	w.bell = bell
	if err := w.meet(ctx, log); err != nil || w.result != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	copied := make(chan error, 1)
	go func() { copied <- w.follower.run(ctx) }()
	w.copied = copied
	err := w.wait(ctx)
	cancel()
	_ = w.drain() // Nobody wants more of it.
	return err
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

// wait takes a step each time something about the job has changed, until it has ended and its log was read. Only then all
// is known that must be hidden in what the cluster says.
func (w *waiter) wait(ctx context.Context) error {
	for {
		next, err := w.step(ctx)
		if err != nil {
			return err
		}
		if w.result != nil {
			return w.conclude()
		}
		if err := w.sleep(ctx, next); err != nil {
			return err
		}
	}
}

// step judges the job and does what follows from that. It returns when to take the next one although nothing has
// changed.
func (w *waiter) step(ctx context.Context) (time.Time, error) {
	if err := w.look(ctx); err != nil {
		return time.Time{}, err
	}
	v, err := w.judge(ctx)
	w.follower.see(w.sight, v)
	if w.result = v.result; w.result != nil {
		return time.Time{}, nil
	}
	if w.refused != nil && !stopped(w.sight.job) {
		v.end = &ending{class: runners.Refused, reason: w.refused.Error(), started: v.started}
	}
	next := v.next
	if err == nil {
		next, err = w.act(ctx, v)
	}
	if err != nil {
		w.cfg.Log.WarnContext(ctx, "cluster did not answer; to be asked again", "job", w.id, "err", err)
		next = time.Now().Add(againAfter)
	}
	return next, nil
}

// look takes up what was heard of the job. A pod that was seen ended is still told of when it is gone, and so is every
// pod when the job is gone.
func (w *waiter) look(ctx context.Context) error {
	job, err := w.current(ctx, w.id)
	if err != nil {
		return err
	}
	if job != nil && job.UID != w.uid {
		job = nil
	}
	pods := w.watch.podsOf(w.uid)
	for _, pod := range w.sight.pods {
		known := slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return p.UID == pod.UID })
		if !known && (job == nil || !live(pod)) {
			pods = append(pods, pod)
		}
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	w.sight.job, w.sight.pods, w.sight.fresh = job, pods, false
	return nil
}

// judge says what the sight means, and looks closer where that is needed to say it.
func (w *waiter) judge(ctx context.Context) (verdict, error) {
	for {
		v := judge(w.sight, w.cfg.PendingTimeout, time.Now())
		var err error
		switch v.ask {
		case askEvents:
			var events []corev1.Event
			var at time.Time
			if events, at, err = w.recent(ctx, w.uids()); err == nil {
				w.sight.events, w.sight.eventsAt = events, at
			}
		case askPods:
			var pods []*corev1.Pod
			if pods, err = w.listPods(ctx, w.uid); err == nil {
				w.sight.pods, w.sight.fresh = pods, true
			}
		case askNothing:
			return v, nil
		}
		if err != nil {
			return v, err
		}
	}
}

// act does what the verdict asks for, and returns when to judge again although nothing has changed.
func (w *waiter) act(ctx context.Context, v verdict) (time.Time, error) {
	next, now := v.next, time.Now()
	if w.watch.job(w.id) == nil {
		next = earlier(next, now.Add(unheardWait))
	}
	if v.end != nil {
		if err := w.shown(ctx, v.end); err != nil {
			return earlier(next, now.Add(againAfter)), err
		}
		_, err := w.end(ctx, w.sight.job, *v.end)
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			err = nil // It has changed: that is on its way to us.
		}
		return earlier(next, now.Add(againAfter)), err
	}
	again, err := w.last.look(ctx, w.sight.job, w.sight.pods)
	return earlier(next, again), err
}

// shown hides in the reason of an ending what must be hidden; what cannot be is reason enough to end the job.
func (w *waiter) shown(ctx context.Context, e *ending) error {
	err := w.hider.once(ctx)
	if errors.Is(err, runners.ErrRefused) {
		w.refused, err = err, nil
	}
	switch {
	case err != nil:
		return err
	case w.refused != nil:
		e.class, e.reason = runners.Refused, w.refused.Error()
	default:
		e.reason = w.hider.words(e.reason)
	}
	return nil
}

// listPods asks for the pods of the Job with this uid.
func (r *Runner) listPods(ctx context.Context, uid types.UID) ([]*corev1.Pod, error) {
	ctx, cancel := r.call(ctx)
	defer cancel()
	list, err := r.pods().List(ctx, metav1.ListOptions{LabelSelector: batchv1.ControllerUidLabel + "=" + string(uid)})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	var pods []*corev1.Pod
	for i := range list.Items {
		pods = append(pods, &list.Items[i])
	}
	return pods, nil
}

// uids are those of the Job and of its pods.
func (w *waiter) uids() []types.UID {
	uids := []types.UID{w.uid}
	for _, pod := range w.sight.pods {
		uids = append(uids, pod.UID)
	}
	return uids
}

// sleep returns when something has changed, at next, or with the error of ctx or of the log.
func (w *waiter) sleep(ctx context.Context, next time.Time) (err error) {
	timer, end := after(next, time.Now())
	select {
	case <-w.bell:
	case <-timer:
	case <-ctx.Done():
		err = ctx.Err()
	case err = <-w.copied:
		err = w.ended(err)
	}
	end()
	return err
}

// ended takes the follower's end. One that may not show the log is no error: the job is refused, if late.
func (w *waiter) ended(err error) error {
	if w.copied = nil; errors.Is(err, runners.ErrRefused) {
		w.refused, err = err, nil
	}
	return err
}

// drain waits for the rest of the log.
func (w *waiter) drain() error {
	if w.copied == nil {
		return nil
	}
	return w.ended(<-w.copied)
}

// conclude waits for the rest of the log, and hides in the result what must be hidden.
func (w *waiter) conclude() error {
	if err := w.drain(); err != nil {
		return err
	}
	if w.refused != nil {
		w.result = new(unshown(*w.result, w.refused))
		return nil
	}
	w.result.Reason = w.hider.words(w.result.Reason)
	return nil
}

// unshown is the result of a job of which nothing may be shown.
func unshown(res runners.Result, why error) runners.Result {
	return runners.Result{Class: runners.Refused, ExitCode: res.ExitCode, Reason: why.Error(), StartedAt: res.StartedAt, EndedAt: res.EndedAt}
}

// earlier is the earlier one of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
