package kube

import (
	"context"
	"errors"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Sweep is runners.Sweeper's. It makes one call to the API for each job that it removes; their pods and Secrets go with
// them. What another Millrace made in the same namespace it leaves alone.
func (r *Runner) Sweep(ctx context.Context, keep func(id string) bool) (int, error) {
	if err := r.watch.ready(ctx); err != nil {
		return 0, fmt.Errorf("sweep jobs: %w", err)
	}
	swept := 0
	var problems []error
	for _, job := range r.watch.jobs.list() {
		if ctx.Err() != nil {
			return swept, ctx.Err()
		}
		if !r.cfg.mine(job) || keep(job.Name) || !r.over(job) {
			continue
		}
		if err := r.remove(ctx, job); err != nil {
			problems = append(problems, err)
			continue
		}
		swept++
	}
	if err := errors.Join(problems...); err != nil {
		return swept, fmt.Errorf("sweep jobs: %w", err)
	}
	return swept, nil
}

// mine tells whether this Millrace made the Job. One that bears no instance was made by a version that knew none, and
// that wanted the namespace for one Millrace alone: it is ours, to be swept as well.
func (c Config) mine(job *batchv1.Job) bool {
	by, said := job.Labels[labelInstance]
	return !said || by == c.Instance
}

// over tells whether nothing of the Job runs or will run: it has ended, or was ended, or is a tombstone.
func (r *Runner) over(job *batchv1.Job) bool {
	if job.DeletionTimestamp != nil {
		return false // Somebody else removes it already.
	}
	return job.Labels[labelTombstone] != "" || (finished(job) || stopped(job)) && quiet(job, r.watch.podsOf(job.UID))
}

// remove deletes the Job that was seen, not another one by its name. That it is gone already is no error.
func (r *Runner) remove(ctx context.Context, job *batchv1.Job) error {
	ctx, cancel := r.call(ctx)
	defer cancel()
	err := r.jobs().Delete(ctx, job.Name, metav1.DeleteOptions{
		PropagationPolicy: new(metav1.DeletePropagationBackground),
		Preconditions:     metav1.NewUIDPreconditions(string(job.UID)),
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete job %s: %w", job.Name, err)
	}
	return nil
}
