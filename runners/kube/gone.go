package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// defaultOvertime is how long a pod may outlive its grace before it is removed from the cluster though nobody says that
// it has ended: its node may be gone for good.
const defaultOvertime = 2 * time.Minute

// quiet tells whether nothing of a Job that is to end can run any more: the Job controller has heard of it, and of no
// pod that it ever made is there one that lives. It is pure.
func quiet(job *batchv1.Job, pods []*corev1.Pod) bool {
	if slices.ContainsFunc(pods, live) {
		return false
	}
	if job.Status.Active > 0 || job.Status.Terminating != nil && *job.Status.Terminating > 0 {
		return false
	}
	return condition(job, batchv1.JobComplete, batchv1.JobFailed, batchv1.JobSuspended) != nil
}

// live tells whether a container of the pod runs or may still run.
func live(pod *corev1.Pod) bool {
	return pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// overdue is when the pods of a Job that was ended early are to be removed without being asked, zero if there is no
// need. It is pure.
func overdue(job *batchv1.Job, pods []*corev1.Pod, overtime time.Duration) time.Time {
	endedAt, err := time.Parse(time.RFC3339Nano, job.Annotations[noteEndedAt])
	if err != nil {
		return time.Time{}
	}
	i := slices.IndexFunc(pods, live)
	if i < 0 {
		return time.Time{}
	}
	grace := int64(corev1.DefaultTerminationGracePeriodSeconds)
	if own := pods[i].Spec.TerminationGracePeriodSeconds; own != nil {
		grace = *own
	}
	return endedAt.Add(time.Duration(grace)*time.Second + overtime)
}

// resort removes pods that outlive their grace by overtime, and tries again each time that it has passed once more.
type resort struct {
	*Runner
	again time.Time
}

// look removes what is overdue, and returns when to look again; zero: only a change matters.
func (r *resort) look(ctx context.Context, job *batchv1.Job, pods []*corev1.Pod) (time.Time, error) {
	now, due := time.Now(), overdue(job, pods, r.overtime)
	if !due.IsZero() && due.Before(r.again) {
		due = r.again
	}
	if due.IsZero() || now.Before(due) {
		return due, nil
	}
	r.again = now.Add(r.overtime)
	if err := r.confess(ctx, job); err != nil {
		return r.again, err
	}
	for _, pod := range pods {
		if !live(pod) {
			continue
		}
		r.cfg.Log.WarnContext(ctx, "a pod outlives its grace, it is removed", "job", job.Name, "pod", pod.Name, "node", pod.Spec.NodeName)
		if err := r.force(ctx, pod); err != nil {
			return r.again, err
		}
	}
	return r.again, nil
}

// confess adds to the reason of the Job's end that its pod is removed by force. Who waits and who stops may both do it.
func (r *resort) confess(ctx context.Context, job *batchv1.Job) error {
	const said = ", and its pod did not end: it was removed "
	reason := job.Annotations[noteReason]
	if strings.Contains(reason, said) {
		return nil
	}
	reason += fmt.Sprintf("%s%s after its grace, what its node does is not known", said, r.overtime)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": job.UID, "annotations": map[string]string{noteReason: reason}}})
	if err != nil {
		return err
	}
	_, err = r.patch(ctx, job.Name, patch)
	return err
}

// force deletes the pod without waiting for its node.
func (r *resort) force(ctx context.Context, pod *corev1.Pod) error {
	ctx, cancel := r.call(ctx)
	defer cancel()
	err := r.pods().Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64(0)),
		Preconditions:      metav1.NewUIDPreconditions(string(pod.UID)),
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("remove pod %s: %w", pod.Name, err)
	}
	return nil
}
