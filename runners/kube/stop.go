package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace-ci/millrace/runners"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// defaultOvertime is how long a pod may outlive its grace before it is removed from the cluster though nobody says that
// it has ended: its node may be gone for good.
const defaultOvertime = 2 * time.Minute

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
	bell, end := r.watch.subscribe(id)
	defer end()
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
	ctx, cancel := call(ctx)
	defer cancel()
	job, err := r.jobs().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return nil, fmt.Errorf("patch job: %w", err)
	}
	return job, nil
}

// bury makes a tombstone: a Job that never runs and has the name.
func (r *Runner) bury(ctx context.Context, id string) error {
	_, err := r.post(ctx, tombstone(id, time.Now()))
	if err != nil {
		return fmt.Errorf("make a tombstone: %w", err)
	}
	return nil
}

// tombstone is suspended from its first moment on, so its pod, which could run nowhere but is valid, is never made.
func tombstone(id string, now time.Time) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name:        id,
			Labels:      map[string]string{labelManagedBy: managedBy, labelTombstone: "true"},
			Annotations: map[string]string{noteEnded: string(runners.Canceled), noteEndedAt: now.UTC().Format(time.RFC3339Nano)},
		},
		Spec: batchv1.JobSpec{
			Suspend: new(true),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				Containers:    []corev1.Container{{Name: taskContainer, Image: "stopped-before-it-started.invalid/none"}},
			}},
		},
	}
}

// awaitGone returns when nothing of the Job, which is to end, can run any more.
func (r *Runner) awaitGone(ctx context.Context, job *batchv1.Job, bell <-chan struct{}) error {
	uid := job.UID
	for {
		job, err := r.current(ctx, job.Name)
		if err != nil {
			return err
		}
		pods := r.watch.podsOf(uid)
		if job == nil || job.UID != uid || quiet(job, pods) {
			return nil
		}
		now := time.Now()
		due := overdue(job, pods, r.overtime)
		if !due.IsZero() && !now.Before(due) {
			if err := r.force(ctx, job, pods); err != nil {
				return err
			}
			due = now.Add(r.overtime)
		}
		timer, end := after(due, now)
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
	return r.get(ctx, name)
}

// quiet tells whether nothing of a Job that is to end can run any more: the Job controller has heard of it, and of no
// pod that it ever made is there one that lives. It is pure.
func quiet(job *batchv1.Job, pods []*corev1.Pod) bool {
	for _, pod := range pods {
		if live(pod) {
			return false
		}
	}
	if job.Status.Active > 0 || job.Status.Terminating != nil && *job.Status.Terminating > 0 {
		return false
	}
	for _, c := range job.Status.Conditions {
		switch c.Type {
		case batchv1.JobComplete, batchv1.JobFailed, batchv1.JobSuspended:
			if c.Status == corev1.ConditionTrue {
				return true
			}
		}
	}
	return false
}

// overdue is when the pods of a Job that was ended early are removed without being asked, zero if there is no need. It
// is pure.
func overdue(job *batchv1.Job, pods []*corev1.Pod, overtime time.Duration) time.Time {
	endedAt, err := time.Parse(time.RFC3339Nano, job.Annotations[noteEndedAt])
	if err != nil {
		return time.Time{}
	}
	for _, pod := range pods {
		if live(pod) {
			grace := int64(corev1.DefaultTerminationGracePeriodSeconds)
			if own := pod.Spec.TerminationGracePeriodSeconds; own != nil {
				grace = *own
			}
			return endedAt.Add(time.Duration(grace)*time.Second + overtime)
		}
	}
	return time.Time{}
}

// force removes what lives of the Job's pods, and says so in the reason of its end.
func (r *Runner) force(ctx context.Context, job *batchv1.Job, pods []*corev1.Pod) error {
	reason := fmt.Sprintf("%s, and its pod did not end: it was removed %s after its grace, what its node does is not known", job.Annotations[noteReason], r.overtime)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": job.UID, "annotations": map[string]string{noteReason: reason}}})
	if err != nil {
		return err
	}
	if _, err := r.patch(ctx, job.Name, patch); err != nil {
		return err
	}
	for _, pod := range pods {
		if !live(pod) {
			continue
		}
		r.cfg.Log.WarnContext(ctx, "a pod outlives its grace, it is removed", "job", job.Name, "pod", pod.Name, "node", pod.Spec.NodeName)
		ctx, cancel := call(ctx)
		err := r.pods().Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0)), Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
		cancel()
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("remove pod %s: %w", pod.Name, err)
		}
	}
	return nil
}
