// Package kube runs jobs as Jobs of a Kubernetes cluster, one batch/v1 Job per attempt, by a name that follows from the
// attempt: making it again joins it. The agent's worker calls it through package runners. It calls the cluster's API:
// one write makes a job, one watch of each kind and namespace tells how all of them fare, one stream copies a log, and
// nothing is polled. It refuses what the operator's policy does not allow, and has no words at all for what no pipeline
// may have: privileged containers, the host's network, its folders, a node by name. It never deletes a job that runs.
//
// A Job with the annotation millrace.dev/ended was ended early, by one patch that says why and suspends it: the Job
// controller ends its pods with their grace and never makes another. A Job with the label millrace.dev/tombstone=true
// takes a name: it says that Stop came before Start.
package kube

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-ci/millrace/runners"
	batchv1 "k8s.io/api/batch/v1"
	batchclient "k8s.io/client-go/kubernetes/typed/batch/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
)

// callTimeout bounds a call to the API that is no watch and no log: a server that does not answer is an error.
const callTimeout = 30 * time.Second

// Runner is a runners.Runner, Renderer, Witness and Sweeper. Any number of them, in any number of processes, may share
// a namespace.
type Runner struct {
	cfg      Config
	watch    *watch
	overtime time.Duration // see defaultOvertime
}

var (
	_ runners.Runner   = (*Runner)(nil)
	_ runners.Renderer = (*Runner)(nil)
	_ runners.Witness  = (*Runner)(nil)
	_ runners.Sweeper  = (*Runner)(nil)
)

// New makes a Runner. It must come before Cluster.Run, which watches for it.
func New(cfg Config) (*Runner, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kube runner: %w", err)
	}
	w, err := cfg.Cluster.watch(cfg.Namespace)
	if err != nil {
		return nil, fmt.Errorf("kube runner: %w", err)
	}
	return &Runner{cfg: cfg, watch: w, overtime: defaultOvertime}, nil
}

func (r *Runner) jobs() batchclient.JobInterface {
	return r.cfg.Cluster.client.BatchV1().Jobs(r.cfg.Namespace)
}

func (r *Runner) pods() coreclient.PodInterface {
	return r.cfg.Cluster.client.CoreV1().Pods(r.cfg.Namespace)
}

func (r *Runner) secrets() coreclient.SecretInterface {
	return r.cfg.Cluster.client.CoreV1().Secrets(r.cfg.Namespace)
}

// call waits for the turn of one call to the API, and then bounds it.
func (r *Runner) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return r.cfg.Cluster.call(ctx)
}

// bounded bounds one call to the API.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, callTimeout, fmt.Errorf("the cluster's API did not answer within %s", callTimeout))
}

// sameAttempt tells whether both Jobs are of one attempt, which their labels tell. The annotation of its maker is not
// asked: whoever makes an attempt's Job makes it for all.
func sameAttempt(a, b *batchv1.Job) bool {
	for _, label := range []string{labelManagedBy, labelRun, labelTask, labelAttempt} {
		if a.Labels[label] != b.Labels[label] {
			return false
		}
	}
	return true
}
