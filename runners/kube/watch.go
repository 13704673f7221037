package kube

import (
	"context"
	"errors"
	"log/slog"
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

// byJob is the index of pods by the uid of the Job that controls them.
const byJob = "job"

// watch follows the Jobs and pods of a namespace that bear our label, and wakes who waits for one of them.
type watch struct {
	namespace  string
	jobs, pods *mirror
	news       *news
	log        *slog.Logger

	mu   sync.Mutex
	subs map[string]map[chan struct{}]bool // by the Job's name
	made map[string]newJob                 // by name
}

// newJob is a Job that this process has made and not heard of yet.
type newJob struct {
	*batchv1.Job
	at time.Time
}

func newWatch(client kubernetes.Interface, namespace string, log *slog.Logger) *watch {
	w := &watch{namespace: namespace, news: newNews(), log: log, subs: map[string]map[chan struct{}]bool{}, made: map[string]newJob{}}
	ours := func(o *metav1.ListOptions) { o.LabelSelector = labelManagedBy + "=" + managedBy }
	jobs := cache.NewFilteredListWatchFromClient(client.BatchV1().RESTClient(), "jobs", namespace, ours)
	pods := cache.NewFilteredListWatchFromClient(client.CoreV1().RESTClient(), "pods", namespace, ours)
	w.jobs = newMirror("jobs of namespace "+namespace, jobs, &batchv1.Job{}, nil, w.ring)
	w.pods = newMirror("pods of namespace "+namespace, pods, &corev1.Pod{}, cache.Indexers{byJob: controller}, w.ring)
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

// job returns the Job of this name as last heard of, nil if there is none. It is shared: read only.
func (w *watch) job(name string) *batchv1.Job {
	object, found, err := w.jobs.index.GetByKey(w.namespace + "/" + name)
	if err != nil || !found {
		return nil
	}
	job, _ := object.(*batchv1.Job)
	return job
}

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

// allJobs returns all Jobs that bear our label, as last heard of. They are shared: read only.
func (w *watch) allJobs() []*batchv1.Job {
	var jobs []*batchv1.Job
	for _, object := range w.jobs.index.List() {
		if job, ok := object.(*batchv1.Job); ok {
			jobs = append(jobs, job)
		}
	}
	return jobs
}

// podsOf returns the pods that the Job with this uid controls, as last heard of. They are shared: read only.
func (w *watch) podsOf(uid types.UID) []*corev1.Pod {
	objects, err := w.pods.index.ByIndex(byJob, string(uid))
	if err != nil {
		return nil
	}
	var pods []*corev1.Pod
	for _, object := range objects {
		if pod, ok := object.(*corev1.Pod); ok {
			pods = append(pods, pod)
		}
	}
	return pods
}

// subscribe returns a channel that gets something after each change of the Job of this name or of its pods, and a
// function that ends it.
func (w *watch) subscribe(name string) (<-chan struct{}, func()) {
	bell := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.subs[name] == nil {
		w.subs[name] = map[chan struct{}]bool{}
	}
	w.subs[name][bell] = true
	return bell, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.subs[name], bell); len(w.subs[name]) == 0 {
			delete(w.subs, name)
		}
	}
}

// ring wakes who waits for the Job that object is or belongs to.
func (w *watch) ring(object any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := ""
	switch o := object.(type) {
	case *batchv1.Job:
		name = o.Name
		delete(w.made, name)
	case *corev1.Pod:
		if owner := metav1.GetControllerOf(o); owner != nil {
			name = owner.Name
		}
	}
	for bell := range w.subs[name] {
		select {
		case bell <- struct{}{}:
		default: // It has not been heard yet, that is enough.
		}
	}
}

// controller is what a pod is indexed by.
func controller(object any) ([]string, error) {
	if pod, ok := object.(*corev1.Pod); ok {
		if owner := metav1.GetControllerOf(pod); owner != nil {
			return []string{string(owner.UID)}, nil
		}
	}
	return nil, nil
}

// after is a channel that gets something at t, never if t is zero, and a function that ends it.
func after(t, now time.Time) (<-chan time.Time, func()) {
	if t.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(t.Sub(now))
	return timer.C, func() { timer.Stop() }
}
