package kube

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// containers are those of a pod whose log is followed, in the order in which they run.
var containers = [...]string{cloneContainer, taskContainer}

// scene is what a follower needs to know of its job. There may be ten thousand, so it is less than a sight.
type scene struct {
	pods    []actor // oldest first
	main    int     // which of pods counts, -1: there is none
	bare    bool    // the job is known, and has no container clone
	waiting string  // see verdict
	ended   bool    // the job has: nothing changes any more
}

// actor is a pod.
type actor struct {
	uid   types.UID
	name  string
	made  time.Time
	begun [len(containers)]bool // the container runs or has run
	ended [len(containers)]bool // nothing more will be said by it
}

func sceneOf(s sight, v verdict) scene {
	scene := scene{main: slices.Index(s.pods, s.pod()), waiting: v.waiting, ended: v.result != nil}
	scene.bare = s.job != nil && !slices.ContainsFunc(s.job.Spec.Template.Spec.InitContainers, isClone)
	for _, pod := range s.pods {
		a := actor{uid: pod.UID, name: pod.Name, made: pod.CreationTimestamp.Time}
		for i, container := range containers {
			state := containerState(pod, container)
			a.begun[i] = state.Running != nil || state.Terminated != nil && state.Terminated.StartedAt.Unix() > 0
			a.ended[i] = state.Terminated != nil || !live(pod)
		}
		scene.pods = append(scene.pods, a)
	}
	return scene
}

func isClone(c corev1.Container) bool { return c.Name == cloneContainer }

// pod is the one that counts, nil if there is none.
func (s scene) pod() *actor {
	if s.main < 0 {
		return nil
	}
	return &s.pods[s.main]
}

// over tells whether a container of a pod has ended, as far as it was seen.
func (s scene) over(pod types.UID, container int) bool {
	i := slices.IndexFunc(s.pods, func(a actor) bool { return a.uid == pod })
	return s.ended || i < 0 || s.pods[i].ended[container]
}

// see tells what is known of the job now. It never blocks and may be called at any time; a verdict with a result is the
// last one.
func (f *follower) see(s sight, v verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scene = sceneOf(s, v)
	if f.check != nil {
		f.check()
	}
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// seen returns what is known, and a channel that is closed when that changes.
func (f *follower) seen() (scene, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.scene, f.changed
}

// await returns when the job is as done says.
func (f *follower) await(ctx context.Context, done func(scene) bool) error {
	for {
		s, changed := f.seen()
		if done(s) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// end returns when the job has ended.
func (f *follower) end(ctx context.Context) error {
	return f.await(ctx, func(s scene) bool { return s.ended })
}
