package kube

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/runners"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Start is runners.Runner's. It makes one call to the API, a second one for a job that needs a Secret of its own, and
// one more for each of both that is there already.
func (r *Runner) Start(ctx context.Context, job runners.Job) (string, error) {
	if err := job.Check(); err != nil {
		return "", err
	}
	uid, err := r.start(ctx, job)
	if err != nil {
		return "", fmt.Errorf("start job %s: %w", job.ID, err)
	}
	return uid, nil
}

// start makes the Job first and then the Secret, which belongs to it and goes with it: the kubelet waits for it. All
// that can be wrong with either is found out before.
func (r *Runner) start(ctx context.Context, job runners.Job) (string, error) {
	want, err := r.cfg.manifest(job)
	if err != nil {
		return "", err
	}
	secret, err := r.cfg.attemptSecret(job)
	if err != nil {
		return "", err
	}
	made, err := r.create(ctx, want)
	if err != nil {
		return "", err
	}
	if secret != nil && !finished(made) && !stopped(made) {
		if err := r.give(ctx, made, secret); err != nil {
			return "", err
		}
	}
	return string(made.UID), nil
}

// create makes the Job, or joins the one that is there.
func (r *Runner) create(ctx context.Context, want *batchv1.Job) (*batchv1.Job, error) {
	for {
		made, err := r.post(ctx, want)
		if err == nil {
			r.watch.expect(made, time.Now())
			return made, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, r.refusal(err)
		}
		there, err := r.get(ctx, want.Name)
		switch {
		case err != nil:
			return nil, err
		case there == nil:
			continue // It was swept in between.
		case there.Labels[labelManagedBy] == managedBy && there.Labels[labelTombstone] != "":
			return nil, runners.ErrStopped
		case !sameAttempt(want, there):
			return nil, r.foreign(want, there)
		}
		return there, nil
	}
}

func (r *Runner) post(ctx context.Context, job *batchv1.Job) (*batchv1.Job, error) {
	ctx, cancel := r.call(ctx)
	defer cancel()
	return r.jobs().Create(ctx, job, metav1.CreateOptions{})
}

// get asks for the Job of this name, nil if there is none.
func (r *Runner) get(ctx context.Context, name string) (*batchv1.Job, error) {
	ctx, cancel := r.call(ctx)
	defer cancel()
	job, err := r.jobs().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get job: %w", err)
	}
	return job, nil
}

// foreign names both: the attempt that wants a name, and the Job that has it.
func (r *Runner) foreign(want, there *batchv1.Job) error {
	return fmt.Errorf("the name is taken: Job %s/%s with uid %s is of run %q, task %q, attempt %q, managed by %q, and not of run %q, task %q, attempt %q: delete it, or give Millrace a namespace of its own",
		r.cfg.Namespace, there.Name, there.UID, there.Labels[labelRun], there.Labels[labelTask], there.Labels[labelAttempt], there.Labels[labelManagedBy],
		want.Labels[labelRun], want.Labels[labelTask], want.Labels[labelAttempt])
}

// give makes the Secret that belongs to the Job. It does not wait for another turn: the kubelet waits for it already.
func (r *Runner) give(ctx context.Context, owner *batchv1.Job, secret *corev1.Secret) error {
	secret.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: owner.Name, UID: owner.UID}}
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := r.secrets().Create(ctx, secret, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return r.refusal(err)
	}
	there, err := r.secrets().Get(ctx, secret.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get secret: %w", err)
	}
	for _, o := range there.OwnerReferences {
		if o.UID == owner.UID {
			return nil
		}
	}
	return fmt.Errorf("the name is taken: Secret %s/%s with uid %s does not belong to Job %s: delete it", r.cfg.Namespace, there.Name, there.UID, owner.UID)
}

// refusal tells what it means that the API did not make something: ErrRefused for what it will never make as it is, with
// its own words; an error for what the operator or time mends. nil stays nil.
func (r *Runner) refusal(err error) error {
	if err == nil {
		return nil
	}
	refused := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{runners.ErrRefused}, args...)...)
	}
	switch text := err.Error(); {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return refused("namespace %s is being deleted: %w", r.cfg.Namespace, err)
	case apierrors.IsNotFound(err):
		return refused("there is no namespace %s in the cluster: %w", r.cfg.Namespace, err)
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		return refused("the cluster does not take it: %w", err)
	case apierrors.IsForbidden(err) && strings.Contains(text, " cannot create resource "):
		return fmt.Errorf("millrace's own account lacks a permission in namespace %s: %w", r.cfg.Namespace, err)
	case apierrors.IsForbidden(err) && strings.Contains(text, "exceeded quota"):
		return fmt.Errorf("there is no room: %w", err)
	case apierrors.IsForbidden(err), strings.Contains(text, "denied the request"):
		return refused("the cluster's admission does not take it: %w", err)
	}
	return err
}
