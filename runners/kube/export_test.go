package kube

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// ClusterWith is NewCluster, with the way to it changed by reach and its client by wrap, where they are not nil.
func ClusterWith(cfg ClusterConfig, reach func(*rest.Config), wrap func(kubernetes.Interface) kubernetes.Interface) (*Cluster, error) {
	way, err := cfg.reach()
	if err != nil {
		return nil, err
	}
	if reach != nil {
		reach(way)
	}
	c, err := newCluster(way, cfg.Log)
	if err == nil && wrap != nil {
		c.client = wrap(c.client)
	}
	return c, err
}

// Reach is how cfg reaches its cluster.
func Reach(cfg ClusterConfig) (*rest.Config, error) { return cfg.reach() }

// SetOvertime changes how long a pod may outlive its grace.
func (r *Runner) SetOvertime(d time.Duration) { r.overtime = d }

// Refusal is what r makes of an error of the API.
func (r *Runner) Refusal(err error) error { return r.refusal(err) }

// What is pure.
var (
	Strip   = strip
	Quiet   = quiet
	Overdue = overdue
)

// Tombstone is what Stop leaves where there is no Job.
func (c Config) Tombstone(id string, now time.Time) *batchv1.Job { return c.tombstone(id, now) }

// Mine tells whether Sweep may remove job.
func (c Config) Mine(job *batchv1.Job) bool { return c.mine(job) }

// NewNews returns what tells the news that list lists.
func NewNews(list func(context.Context) ([]corev1.Event, error)) func(context.Context, ...types.UID) ([]corev1.Event, time.Time, error) {
	n := newNews()
	return func(ctx context.Context, uids ...types.UID) ([]corev1.Event, time.Time, error) {
		return n.about(ctx, list, uids)
	}
}

// Mirror is a mirror of pods.
type Mirror struct {
	m *mirror[corev1.Pod, *corev1.Pod]
}

// NewMirror makes one of what a test lists and tells.
func NewMirror(from cache.ListerWatcher, ring func(object metav1.Object)) Mirror {
	return Mirror{newMirror[corev1.Pod]("pods", from, ring)}
}

// Start lets it be filled, until the function that it returns is called.
func (m Mirror) Start(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(klog.NewContext(ctx, logr.Discard()))
	var group sync.WaitGroup
	group.Go(func() { m.m.run(ctx) })
	return func() { cancel(); group.Wait() }
}

// Ready is ready.
func (m Mirror) Ready(ctx context.Context) error { return m.m.ready(ctx) }

// Names are those of the pods in it, which are stripped.
func (m Mirror) Names() []string {
	var names []string
	for _, pod := range m.m.list() {
		if pod.Labels == nil {
			names = append(names, pod.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Owned are the names of the pods in it that what has this uid controls.
func (m Mirror) Owned(by types.UID) []string {
	var names []string
	for _, pod := range unpackAll(m.m.of(by)) {
		names = append(names, pod.Name)
	}
	return names
}
