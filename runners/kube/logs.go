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
	scene   scene
	changed chan struct{} // closed when it changes; nil: nobody waits for that
	check   func()        // called when it has changed; nil: nobody is
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
	return &follower{open: open, log: log, hider: h, now: time.Now, place: placeOf(last), max: runners.MaxLog, scene: scene{main: -1}}, nil
}

// run copies the log until the job has ended and all was read. Errors are the log's and ctx's, and those of the hider,
// without which nothing may be shown: else an API that is away is waited for, and what is lost is told in the log. In the
// end the hider knows all that there is to hide, and so does the log.
func (f *follower) run(ctx context.Context) error {
	err := f.copyAll(ctx)
	if err == nil {
		apart(func() { err = f.hider.once(ctx) })
	}
	if err != nil {
		return err
	}
	f.hider.tell(f.log)
	return nil
}

func (f *follower) copyAll(ctx context.Context) error {
	for i, container := range containers {
		if f.place.full {
			return f.end(ctx)
		}
		if f.place.behind(container) {
			continue
		}
		if err := f.follow(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// follow copies the log of one container, from its start, or the end of the job if it never starts, to its end.
func (f *follower) follow(ctx context.Context, container int) error {
	pod, err := f.start(ctx, container)
	if pod == nil || err != nil {
		return err
	}
	f.told = nil // It waits no more.
	apart(func() { err = f.hider.refresh(ctx) })
	if err != nil {
		return err
	}
	return f.copy(ctx, pod, container)
}

// start returns the pod whose container has begun, nil if it never will. What it waits for it tells the log.
func (f *follower) start(ctx context.Context, container int) (pod *actor, err error) {
	var problem error
	err = f.await(ctx, func(s scene) bool {
		pod = s.pod()
		if pod != nil && pod.begun[container] {
			return true
		}
		if pod = nil; s.ended || s.bare && containers[container] == cloneContainer {
			return true
		}
		apart(func() { problem = f.tell(ctx, containers[container], s.waiting) })
		return problem != nil
	})
	return pod, errors.Join(err, problem)
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
	if f.told == nil {
		f.told = map[string]bool{}
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
