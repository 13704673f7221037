package kube

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// watch follows the Jobs and pods of a namespace that bear our label, and wakes who waits for one of them.
type watch struct {
	jobs *mirror[batchv1.Job, *batchv1.Job]
	pods *mirror[corev1.Pod, *corev1.Pod]
	news *news
	log  *slog.Logger

	mu    sync.Mutex
	bells map[string][]*bell // by the Job's name
	made  map[string]newJob  // by name
}

// packedPod is a pod as it lies in memory.
type packedPod = packed[corev1.Pod, *corev1.Pod]

// bell is somebody who waits for a Job.
type bell struct{ ring func() }

// newJob is a Job that this process has made and not heard of yet.
type newJob struct {
	*batchv1.Job
	at time.Time
}

func newWatch(client kubernetes.Interface, namespace string, log *slog.Logger) *watch {
	w := &watch{news: newNews(), log: log, bells: map[string][]*bell{}, made: map[string]newJob{}}
	ours := func(o *metav1.ListOptions) { o.LabelSelector = labelManagedBy + "=" + managedBy }
	jobs := cache.NewFilteredListWatchFromClient(client.BatchV1().RESTClient(), "jobs", namespace, ours)
	pods := cache.NewFilteredListWatchFromClient(client.CoreV1().RESTClient(), "pods", namespace, ours)
	w.jobs = newMirror[batchv1.Job]("jobs of namespace "+namespace, jobs, w.ring)
	w.pods = newMirror[corev1.Pod]("pods of namespace "+namespace, pods, w.ring)
	return w
}

// run follows the cluster until ctx ends. That it cannot is logged by client-go.
func (w *watch) run(ctx context.Context) {
	ctx = klog.NewContext(ctx, logr.FromSlogHandler(w.log.Handler())) // Else client-go writes past our log.
	var group sync.WaitGroup
	group.Go(func() { w.jobs.run(ctx) })
	group.Go(func() { w.pods.run(ctx) })
	group.Wait()
}

// ready returns once all was seen that was there when run began.
func (w *watch) ready(ctx context.Context) error {
	return errors.Join(w.jobs.ready(ctx), w.pods.ready(ctx))
}

// job returns the Job of this name as last heard of, nil if there is none.
func (w *watch) job(name string) *batchv1.Job { return w.jobs.get(name) }

// podsOf returns the pods that the Job with this uid controls, as last heard of.
func (w *watch) podsOf(uid types.UID) []*corev1.Pod { return unpackAll(w.pods.of(uid)) }

// expect tells of a Job that was just made, and will be heard of.
func (w *watch) expect(job *batchv1.Job, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made[job.Name] = newJob{job, now}
	if w.job(job.Name) != nil { // It was heard of before we could say so.
		delete(w.made, job.Name)
	}
}

// expected is the Job of this name that was made a moment ago and not heard of yet, nil if there is none. One that is
// not heard of for long may be gone again.
func (w *watch) expected(name string, now time.Time) *batchv1.Job {
	w.mu.Lock()
	defer w.mu.Unlock()
	job := w.made[name]
	if now.Sub(job.at) > unheardWait {
		delete(w.made, name)
		return nil
	}
	return job.Job
}

// subscribe has ring called after each change of the Job of this name or of its pods, until the function is called that it
// returns. ring must not block.
func (w *watch) subscribe(name string, ring func()) (end func()) {
	b := &bell{ring}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bells[name] = append(w.bells[name], b)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.bells[name] = slices.DeleteFunc(w.bells[name], func(other *bell) bool { return other == b })
		if len(w.bells[name]) == 0 {
			delete(w.bells, name)
		}
	}
}

// ring wakes who waits for the Job that object is or belongs to.
func (w *watch) ring(object metav1.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := ""
	if _, ok := object.(*batchv1.Job); ok {
		name = object.GetName()
		delete(w.made, name)
	} else if owner := metav1.GetControllerOf(object); owner != nil {
		name = owner.Name
	}
	for _, b := range w.bells[name] {
		b.ring()
	}
}

// after is a channel that gets something at t, never if t is zero, and a function that ends it.
func after(t, now time.Time) (<-chan time.Time, func()) {
	if t.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(t.Sub(now))
	return timer.C, func() { timer.Stop() }
}
