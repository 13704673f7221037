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
)

// maxWaits bounds the lines about what is awaited.
const maxWaits = 20

// follower copies what a job's containers say into its log, one after the other, as they say it. It is told what becomes
// of the job; what the job waits for, it tells the log.
type follower struct {
	open  opener
	log   runners.Log
	hider *hider
	now   func() time.Time

	place place           // where the log ends
	told  map[string]bool // what was awaited and said
	size  int
	max   int // what size may be

	mu      sync.Mutex
	sight   sight
	verdict verdict
	changed chan struct{} // closed when they change
	check   func()        // called when they have changed; nil: nobody is
}

// opener opens a stream of a pod's log.
type opener func(ctx context.Context, pod string, opts *corev1.PodLogOptions) (io.ReadCloser, error)

// stream is an opener that waits for its turn.
func (r *Runner) stream(ctx context.Context, pod string, opts *corev1.PodLogOptions) (io.ReadCloser, error) {
	if err := r.cfg.Cluster.turns.Wait(ctx); err != nil {
		return nil, err
	}
	return r.pods().GetLogs(pod, opts).Stream(ctx)
}

// newFollower asks log where an earlier one has left off. It starts nothing.
func newFollower(open opener, log runners.Log, h *hider) (*follower, error) {
	last, err := log.Resume()
	if err != nil {
		return nil, fmt.Errorf("resume log: %w", err)
	}
	return &follower{open: open, log: log, hider: h, now: time.Now, place: placeOf(last), told: map[string]bool{}, max: runners.MaxLog, changed: make(chan struct{})}, nil
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

// run copies the log until the job has ended and all was read. Errors are the log's and ctx's, and those of the hider,
// without which nothing may be shown: else an API that is away is waited for, and what is lost is told in the log. In the
// end the hider knows all that there is to hide, and so does the log.
func (f *follower) run(ctx context.Context) error {
	if err := f.copyAll(ctx); err != nil {
		return err
	}
	if err := f.hider.once(ctx); err != nil {
		return err
	}
	f.hider.tell(f.log)
	return nil
}

func (f *follower) copyAll(ctx context.Context) error {
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
		problem = f.tell(ctx, container, v.waiting)
		return problem != nil
	})
	if err = errors.Join(err, problem); err != nil || pod == nil || !begun(pod, container) {
		return err
	}
	if err := f.hider.refresh(ctx); err != nil {
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

// tell writes what a container waits for, once. What cannot be hidden in it yet is told another time.
func (f *follower) tell(ctx context.Context, container, text string) error {
	if text == "" || len(f.told) == maxWaits {
		return nil
	}
	if err := f.hider.once(ctx); err != nil {
		if errors.Is(err, runners.ErrRefused) {
			return err
		}
		return nil
	}
	text = waitMark + container + ": " + f.hider.words(text)
	if f.told[text] || f.place.said == text {
		return nil
	}
	f.told[text] = true
	return f.write(appendLine(nil, f.now(), ourName, []byte(text)))
}

// write writes whole lines, as long as there is room.
func (f *follower) write(text []byte) error {
	if f.place.full {
		return nil
	}
	if f.size += len(text); f.size > f.max {
		f.place.full = true
		room := text[:max(0, len(text)-(f.size-f.max))]
		room = room[:strings.LastIndexByte(string(room), '\n')+1]
		text = appendLine(slices.Clone(room), f.now(), ourName, fmt.Appendf(nil, "%s %d bytes: the rest is not kept]", fullMark, f.max))
	}
	f.hider.tell(f.log)
	_, err := f.log.Write(text)
	return err
}

// missing is the line about a log that is not given out.
func missing(from, now time.Time, container, why string) []byte {
	what := "all of it is missing"
	if !from.IsZero() {
		what = "what came after " + from.UTC().Format(stamp) + " is missing"
	}
	text := fmt.Sprintf("%s%s: %s: %s]", gapMark, container, what, why)
	return appendLine(nil, later(from.Add(1), now), ourName, []byte(text))
}
