package kube

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
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

// NewNews returns what tells the news that list lists.
func NewNews(list func(context.Context) ([]corev1.Event, error)) func(context.Context, ...types.UID) ([]corev1.Event, time.Time, error) {
	n := newNews()
	return func(ctx context.Context, uids ...types.UID) ([]corev1.Event, time.Time, error) {
		return n.about(ctx, list, uids)
	}
}
