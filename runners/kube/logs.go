package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/runners"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
)

const (
	// maxLog bounds a log in bytes, but for the line that says so: a little less than what the agent keeps (16 MiB).
	maxLog = 16<<20 - 1<<10
	// maxWaits bounds the lines about what is awaited.
	maxWaits = 20
	// patience is how long a log is asked for that its node does not give out although its container has ended.
	patience = time.Minute
	// lagging is how long a stream may go on after its container has ended, before it is taken for dead.
	lagging = 15 * time.Second
	// A stream is read in pieces that grow from one to the other: most of thousands of streams say little.
	minRead, maxRead = 4 << 10, 64 << 10
	// Pauses between two tries grow from one to the other.
	minPause, maxPause = 100 * time.Millisecond, 5 * time.Second
)

// follower copies what a job's containers say into its log, one after the other, as they say it. It is told what becomes
// of the job; what the job waits for, it tells the log.
type follower struct {
	open func(ctx context.Context, pod string, opts *corev1.PodLogOptions) (io.ReadCloser, error)
	log  runners.Log
	now  func() time.Time

	place place           // where the log ends
	told  map[string]bool // what was awaited and said
	size  int

	mu      sync.Mutex
	sight   sight
	verdict verdict
	changed chan struct{} // closed when they change
	check   func()        // called when they have changed; nil: nobody is
}

// newFollower asks log where an earlier one has left off. It starts nothing.
func newFollower(pods coreclient.PodInterface, log runners.Log, now func() time.Time) (*follower, error) {
	last, err := log.Resume()
	if err != nil {
		return nil, fmt.Errorf("resume log: %w", err)
	}
	f := &follower{log: log, now: now, place: placeOf(last), told: map[string]bool{}, changed: make(chan struct{})}
	f.open = func(ctx context.Context, pod string, opts *corev1.PodLogOptions) (io.ReadCloser, error) {
		return pods.GetLogs(pod, opts).Stream(ctx)
	}
	return f, nil
}

// see tells what is known of the job now. It never blocks and may be called at any time; a verdict with a result is the
// last one.
func (f *follower) see(s sight, v verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.pods = slices.Clone(s.pods)
	f.sight, f.verdict = s, v
	if f.check != nil {
		f.check()
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *follower) seen() (sight, verdict, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sight, f.verdict, f.changed
}

// run copies the log until the job has ended and all was read. Errors are the log's and ctx's alone: an API that is away
// is waited for, and what is lost is told in the log.
func (f *follower) run(ctx context.Context) error {
	for _, container := range []string{cloneContainer, taskContainer} {
		if f.place.full {
			return f.await(ctx, func(_ sight, v verdict) bool { return v.result != nil })
		}
		if f.place.behind(container) {
			continue
		}
		if err := f.follow(ctx, container); err != nil {
			return err
		}
	}
	return nil
}

// await returns when the job is as done says.
func (f *follower) await(ctx context.Context, done func(sight, verdict) bool) error {
	for {
		s, v, changed := f.seen()
		if done(s, v) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follow copies the log of one container, from its start, or the end of the job if it never starts, to its end.
func (f *follower) follow(ctx context.Context, container string) error {
	var pod *corev1.Pod
	var problem error
	err := f.await(ctx, func(s sight, v verdict) bool {
		pod = s.pod()
		if pod != nil && begun(pod, container) || v.result != nil {
			return true
		}
		if container == cloneContainer && s.job != nil && !slices.ContainsFunc(s.job.Spec.Template.Spec.InitContainers, isClone) {
			pod = nil
			return true
		}
		problem = f.tell(container, v.waiting)
		return problem != nil
	})
	if err = errors.Join(err, problem); err != nil || pod == nil || !begun(pod, container) {
		return err
	}
	return f.copy(ctx, pod, container)
}

func isClone(c corev1.Container) bool { return c.Name == cloneContainer }

// begun tells whether a container runs or has run.
func begun(pod *corev1.Pod, container string) bool {
	state := containerState(pod, container)
	return state.Running != nil || state.Terminated != nil && state.Terminated.StartedAt.Unix() > 0
}

// tell writes what a container waits for, once.
func (f *follower) tell(container, text string) error {
	text = waitMark + container + ": " + oneLine(text)
	if strings.HasSuffix(text, ": ") || f.told[text] || len(f.told) == maxWaits || f.place.said == text {
		return nil
	}
	f.told[text] = true
	return f.write(appendLine(nil, f.now(), ourName, []byte(text)))
}

// copy copies the log of a container that has begun. A stream that was opened after the container had ended, and was
// read to its end, is the whole of it; all others are opened again behind the last line. A pod that is gone by then takes
// nothing along when the stream before had ended by itself: a node ends one when its container has ended and all is read.
func (f *follower) copy(ctx context.Context, pod *corev1.Pod, container string) error {
	var pause pauses
	var drained *lines // of a stream that had ended by itself
	for {
		_, ended := f.gone(pod, container)
		from := f.place.in(container)
		l, err := f.stream(ctx, pod, container, !ended)
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
			return f.write(missing(f.place.in(container), f.now(), container, err))
		}
		if drained = nil; err == nil {
			drained = l
		}
		if f.place.in(container).After(from) {
			pause = pauses{}
		}
		if err := f.pause(ctx, pause.next(), pod, container, ended); err != nil {
			return err
		}
	}
}

// gone tells whether the container has ended, and gives a channel that is closed when something changes.
func (f *follower) gone(pod *corev1.Pod, container string) (<-chan struct{}, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed, f.over(pod, container)
}

// over tells whether the container has ended, as far as it was seen.
func (f *follower) over(pod *corev1.Pod, container string) bool {
	i := slices.IndexFunc(f.sight.pods, func(p *corev1.Pod) bool { return p.UID == pod.UID })
	return f.verdict.result != nil || i < 0 || !live(f.sight.pods[i]) || containerState(f.sight.pods[i], container).Terminated != nil
}

// pause waits, but not longer than until the container ends.
func (f *follower) pause(ctx context.Context, d time.Duration, pod *corev1.Pod, container string, ended bool) error {
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
func (f *follower) stream(ctx context.Context, pod *corev1.Pod, container string, follow bool) (*lines, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opts := &corev1.PodLogOptions{Container: container, Follow: follow, Timestamps: true}
	l := &lines{container: container, from: f.place.in(container), found: f.place.gap, start: pod.CreationTimestamp.Time}
	if !l.from.IsZero() {
		opts.SinceTime = new(metav1.NewTime(sinceOf(l.from)))
	}
	if follow {
		defer f.cutWhenDead(pod, container, cancel)()
	}
	body, err := f.open(ctx, pod.Name, opts)
	if err != nil {
		return l, err
	}
	defer body.Close()
	return l, f.pump(body, l, !follow)
}

// cutWhenDead makes see end the stream of a container that has ended, if it does not end by itself. It returns a function
// that ends that.
func (f *follower) cutWhenDead(pod *corev1.Pod, container string, cut func()) (end func()) {
	var timer *time.Timer
	f.mu.Lock()
	defer f.mu.Unlock()
	f.check = func() {
		if timer == nil && f.over(pod, container) {
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

// pump copies a stream that is open. whole tells that its end is the log's end.
func (f *follower) pump(body io.Reader, l *lines, whole bool) error {
	buf := make([]byte, minRead)
	for {
		n, err := body.Read(buf)
		_, _ = l.Write(buf[:n])
		if n == len(buf) && n < maxRead {
			buf = make([]byte, 4*n)
		}
		if errors.Is(err, io.EOF) {
			l.end(whole)
		}
		if werr := f.flush(l); werr != nil {
			return &writeError{werr}
		}
		switch {
		case errors.Is(err, io.EOF), f.place.full:
			return nil
		case err != nil:
			return err
		}
	}
}

// flush writes the lines that are made, and notes where the log ends then.
func (f *follower) flush(l *lines) error {
	if len(l.out) == 0 {
		return nil
	}
	err := f.write(l.out)
	l.out = l.out[:0]
	f.place.container, f.place.at, f.place.gap = l.container, l.at, false
	return err
}

// write writes whole lines, as long as there is room.
func (f *follower) write(text []byte) error {
	if f.place.full {
		return nil
	}
	if f.size += len(text); f.size > maxLog {
		f.place.full = true
		room := text[:max(0, len(text)-(f.size-maxLog))]
		room = room[:strings.LastIndexByte(string(room), '\n')+1]
		text = appendLine(slices.Clone(room), f.now(), ourName, fmt.Appendf(nil, "%s %d bytes: the rest is not kept]", fullMark, maxLog))
	}
	_, err := f.log.Write(text)
	return err
}

// writeError is an error of the log that is written.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }

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

// missing is the line about a log that is not given out.
func missing(from, now time.Time, container string, err error) []byte {
	what := "all of it is missing"
	if !from.IsZero() {
		what = "what came after " + from.UTC().Format(stamp) + " is missing"
	}
	text := fmt.Sprintf("%s%s: %s: %s]", gapMark, container, what, oneLine(err.Error()))
	return appendLine(nil, later(from.Add(1), now), ourName, []byte(text))
}
