package kube

import (
	"context"
	"errors"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// patience is how long a log is asked for that its node does not give out although its container has ended.
	patience = time.Minute
	// lagging is how long a stream may go on after its container has ended, before it is taken for dead.
	lagging = 15 * time.Second
	// Pauses between two tries grow from one to the other.
	minPause, maxPause = time.Second, 5 * time.Second
)

// copy copies the log of a container that has begun. A stream that was opened after the container had ended, and was
// read to its end, is the whole of it; all others are opened again behind the last line. A pod that is gone by then takes
// nothing along when the stream before had ended by itself: a node ends one when its container has ended and all is read.
func (f *follower) copy(ctx context.Context, pod *actor, i int) error {
	container := containers[i]
	var pause pauses
	var drained *lines // of a stream that had ended by itself
	for {
		_, ended := f.gone(pod.uid, i)
		from := f.place.in(container)
		l, err := f.stream(ctx, pod, i, !ended)
		var broken *writeError
		switch {
		case errors.As(err, &broken):
			return broken.err
		case ctx.Err() != nil:
			return ctx.Err()
		case f.place.full, err == nil && ended:
			return nil
		case drained != nil && apierrors.IsNotFound(err):
			drained.end(true)
			return f.flush(drained)
		case ended && pause.given(f.now(), err):
			return f.write(missing(f.place.in(container), f.now(), container, f.hider.words(err.Error())))
		}
		if drained = nil; err == nil {
			drained = l
		}
		if f.place.in(container).After(from) {
			pause = pauses{}
		}
		if err := f.pause(ctx, pause.next(), pod.uid, i, ended); err != nil {
			return err
		}
	}
}

// gone tells whether the container has ended, and gives a channel that is closed when something changes.
func (f *follower) gone(pod types.UID, container int) (<-chan struct{}, bool) {
	s, changed := f.seen()
	return changed, s.over(pod, container)
}

// pause waits, but not longer than until the container ends.
func (f *follower) pause(ctx context.Context, d time.Duration, pod types.UID, container int, ended bool) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		changed, now := f.gone(pod, container)
		if now && !ended {
			return nil
		}
		select {
		case <-timer.C:
			return nil
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stream copies one stream of the container's log, behind what the log has of it already.
func (f *follower) stream(ctx context.Context, pod *actor, container int, follow bool) (*lines, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	name := containers[container]
	opts := &corev1.PodLogOptions{Container: name, Follow: follow, Timestamps: true}
	l := &lines{container: name, from: f.place.in(name), found: f.place.gap, start: pod.made, words: f.hider.words}
	if !l.from.IsZero() {
		opts.SinceTime = new(metav1.NewTime(sinceOf(l.from)))
	}
	if follow {
		defer f.cutWhenDead(pod.uid, container, cancel)()
	}
	var body io.ReadCloser
	var err error
	apart(func() { body, err = f.open(ctx, pod.name, opts) })
	if err != nil {
		return l, err
	}
	defer body.Close()
	return l, f.pump(body, l, !follow)
}

// cutWhenDead makes see end the stream of a container that has ended, if it does not end by itself. It returns a function
// that ends that.
func (f *follower) cutWhenDead(pod types.UID, container int, cut func()) (end func()) {
	var timer *time.Timer
	f.mu.Lock()
	defer f.mu.Unlock()
	f.check = func() {
		if timer == nil && f.scene.over(pod, container) {
			timer = time.AfterFunc(lagging, cut)
		}
	}
	f.check()
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.check = nil; timer != nil {
			timer.Stop()
		}
	}
}

// pauses are those between tries of which none brings anything.
type pauses struct {
	last  time.Duration
	since time.Time // of the first try that the cluster answered with an error
}

func (p *pauses) next() time.Duration {
	p.last = min(max(minPause, 2*p.last), maxPause)
	return p.last
}

// given tells whether to give up a log that is asked for in vain. An API that does not answer at all is waited for.
func (p *pauses) given(now time.Time, err error) bool {
	var status apierrors.APIStatus
	if err == nil || !errors.As(err, &status) {
		return false
	}
	if p.since.IsZero() {
		p.since = now
	}
	return apierrors.IsNotFound(err) || now.Sub(p.since) > patience
}
