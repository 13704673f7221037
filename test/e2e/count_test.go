//go:build lab

package e2e_test

import (
	"context"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/test/forgekit"
)

// census counts all Jobs and pods that were ever made in the lab's namespace, by a watch of its own that begins before
// Millrace does. It ends with the test.
type census struct {
	changed forgekit.Bell

	mu   sync.Mutex
	jobs map[string]map[string]bool // by name, their uids
	pods map[string]map[string]bool // by the uid of their Job, their uids
}

func newCensus(t testing.TB, lab *labtest.Lab) *census {
	t.Helper()
	c := &census{jobs: map[string]map[string]bool{}, pods: map[string]map[string]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	t.Cleanup(func() { cancel(); watching.Wait() })
	jobs, pods := lab.Client.BatchV1().Jobs(lab.Namespace), lab.Client.CoreV1().Pods(lab.Namespace)
	watching.Go(func() { c.watch(ctx, jobs.Watch) })
	watching.Go(func() { c.watch(ctx, pods.Watch) })
	return c
}

// watch notes what there is and what comes, until ctx ends. Where the API server is gone for a while it begins again:
// what was made and deleted in between it would miss, but Jobs of a live run are never deleted.
func (c *census) watch(ctx context.Context, begin func(context.Context, metav1.ListOptions) (watch.Interface, error)) {
	for again := time.NewTicker(100 * time.Millisecond); ctx.Err() == nil; {
		if w, err := begin(ctx, metav1.ListOptions{}); err == nil {
			for event := range w.ResultChan() {
				c.note(event.Object)
			}
			w.Stop()
		}
		select {
		case <-again.C:
		case <-ctx.Done():
		}
	}
}

func (c *census) note(object runtime.Object) {
	switch o := object.(type) {
	case *batchv1.Job:
		c.add(c.jobs, o.Name, string(o.UID))
	case *corev1.Pod:
		if owner := metav1.GetControllerOf(o); owner != nil {
			c.add(c.pods, string(owner.UID), string(o.UID))
		}
	}
}

func (c *census) add(to map[string]map[string]bool, name, uid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if to[name] == nil {
		to[name] = map[string]bool{}
	}
	if !to[name][uid] {
		to[name][uid] = true
		c.changed.Ring()
	}
}

// count is how many Jobs were made, of any name and uid.
func (c *census) count() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, uids := range c.jobs {
		n += len(uids)
	}
	return n
}

// check fails the test unless exactly these Jobs were made, each once and with one pod.
func (c *census) check(t testing.TB, names map[string]bool) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, uids := range c.jobs {
		if len(uids) != 1 || !names[name] {
			t.Errorf("Job %s: made %d times, belongs to an attempt: %v", name, len(uids), names[name])
		}
		for uid := range uids {
			if len(c.pods[uid]) != 1 {
				t.Errorf("Job %s has had %d pods, want one", name, len(c.pods[uid]))
			}
		}
	}
	for name := range names {
		if c.jobs[name] == nil {
			t.Errorf("Job %s was never made", name)
		}
	}
}
