package kube

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-ci/millrace/runners"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Stop is runners.Runner's. It makes one call to the API for a job that is known to run. A Job of this name that is not
// ours is left alone: ours never was.
func (r *Runner) Stop(ctx context.Context, id string) error {
	if !runners.ValidID(id) {
		return nil // Start refuses it.
	}
	if err := r.stop(ctx, id); err != nil {
		return fmt.Errorf("stop job %s: %w", id, err)
	}
	return nil
}

func (r *Runner) stop(ctx context.Context, id string) error {
	if err := r.watch.ready(ctx); err != nil {
		return err
	}
	bell := make(chan struct{}, 1)
	defer r.watch.subscribe(id, func() {
		select {
		case bell <- struct{}{}:
		default: // It has not been heard yet, that is enough.
		}
	})()
	job, err := r.halt(ctx, id)
	if job == nil || err != nil {
		return err
	}
	return r.awaitGone(ctx, job, bell)
}

// halt makes sure that the Job will end, or that there never will be one. It returns the Job, nil if there is none.
func (r *Runner) halt(ctx context.Context, id string) (*batchv1.Job, error) {
	for job := r.watch.job(id); ; job = nil {
		var err error
		if job == nil {
			job, err = r.get(ctx, id)
		}
		switch {
		case err != nil:
			return nil, err
		case job == nil:
			if err := r.bury(ctx, id); !apierrors.IsAlreadyExists(err) {
				return nil, err
			}
			continue
		case job.Labels[labelManagedBy] != managedBy:
			r.cfg.Log.WarnContext(ctx, "a job to be stopped is not ours, it is left alone", "job", id, "namespace", r.cfg.Namespace, "uid", job.UID)
			return nil, nil
		case job.Labels[labelTombstone] != "":
			return nil, nil
		}
		pods := r.watch.podsOf(job.UID)
		if stopped(job) || over(job, pods) {
			return job, nil
		}
		ended, err := r.end(ctx, job, ending{class: runners.Canceled, reason: "canceled", started: startedAt(pods)})
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			continue // We were told an old story: look again.
		}
		return ended, err
	}
}

// end ends the Job as it was seen; if it has changed since, nothing is done and the error is a conflict.
func (r *Runner) end(ctx context.Context, job *batchv1.Job, e ending) (*batchv1.Job, error) {
	patch, err := e.patch(job, time.Now())
	if err != nil {
		return nil, err
	}
	return r.patch(ctx, job.Name, patch)
}

func (r *Runner) patch(ctx context.Context, name string, patch []byte) (*batchv1.Job, error) {
	ctx, cancel := r.call(ctx)
	defer cancel()
	job, err := r.jobs().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return nil, fmt.Errorf("patch job: %w", err)
	}
	return job, nil
}

// bury makes a tombstone: a Job that never runs and has the name. A namespace that is not there, or is being deleted,
// takes neither this nor what Start makes: there nothing is to be done.
func (r *Runner) bury(ctx context.Context, id string) error {
	_, err := r.post(ctx, r.cfg.tombstone(id, time.Now()))
	if apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make a tombstone: %w", err)
	}
	return nil
}

// tombstone is suspended from its first moment on: its pod is never made. The pod is one that a strict cluster takes
// nevertheless, which may look at it. It is pure.
func (c Config) tombstone(id string, now time.Time) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name:        id,
			Namespace:   c.Namespace,
			Labels:      c.signed(map[string]string{labelManagedBy: managedBy, labelTombstone: "true"}),
			Annotations: map[string]string{noteEnded: string(runners.Canceled), noteEndedAt: now.UTC().Format(time.RFC3339Nano)},
		},
		Spec: batchv1.JobSpec{
			Suspend: new(true),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy:                corev1.RestartPolicyNever,
				AutomountServiceAccountToken: new(false),
				SecurityContext:              podSecurity(false),
				Containers:                   []corev1.Container{{Name: taskContainer, Image: c.place(c.GitImage), SecurityContext: cloneSecurity()}},
			}},
		},
	}
}

// awaitGone returns when nothing of the Job, which is to end, can run any more.
func (r *Runner) awaitGone(ctx context.Context, job *batchv1.Job, bell <-chan struct{}) error {
	uid, last := job.UID, resort{Runner: r}
	for {
		job, err := r.current(ctx, job.Name)
		if err != nil {
			return err
		}
		pods := r.watch.podsOf(uid)
		if job == nil || job.UID != uid || quiet(job, pods) {
			return nil
		}
		next, err := last.look(ctx, job, pods)
		if err != nil {
			return err
		}
		timer, end := after(next, time.Now())
		select {
		case <-bell:
		case <-timer:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if end(); err != nil {
			return err
		}
	}
}

// current is the Job of this name as last heard of; one that was not heard of is asked for. It is nil if there is none.
func (r *Runner) current(ctx context.Context, name string) (*batchv1.Job, error) {
	if job := r.watch.job(name); job != nil {
		return job, nil
	}
	if job := r.watch.expected(name, time.Now()); job != nil {
		return job, nil
	}
	return r.get(ctx, name)
}
