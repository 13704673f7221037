package kube_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-ci/millrace/runners/kube"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func podIn(phase corev1.PodPhase, grace int64) *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &grace}, Status: corev1.PodStatus{Phase: phase}}
}

func jobStatus(active, terminating int32, conditions ...batchv1.JobConditionType) *batchv1.Job {
	job := &batchv1.Job{Status: batchv1.JobStatus{Active: active, Terminating: &terminating}}
	for _, c := range conditions {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{Type: c, Status: corev1.ConditionTrue})
	}
	return job
}

func TestQuiet(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		job  *batchv1.Job
		pods []*corev1.Pod
		want bool
	}{
		"its controller has not heard of it": {job: jobStatus(0, 0)},
		"suspended, no pod":                  {job: jobStatus(0, 0, batchv1.JobSuspended), want: true},
		"suspended, the pod ends":            {job: jobStatus(0, 1, batchv1.JobSuspended)},
		"suspended, the watch has the pod":   {job: jobStatus(0, 0, batchv1.JobSuspended), pods: []*corev1.Pod{podIn(corev1.PodRunning, 1)}},
		"suspended, the pod has ended":       {job: jobStatus(0, 0, batchv1.JobSuspended), pods: []*corev1.Pod{podIn(corev1.PodFailed, 1)}, want: true},
		"complete":                           {job: jobStatus(0, 0, batchv1.JobComplete), pods: []*corev1.Pod{podIn(corev1.PodSucceeded, 1)}, want: true},
		"failed":                             {job: jobStatus(0, 0, batchv1.JobFailed), want: true},
		"to fail, the pod ends":              {job: jobStatus(0, 1, batchv1.JobFailureTarget)},
		"active":                             {job: jobStatus(1, 0, batchv1.JobSuspended)},
	} {
		if got := kube.Quiet(c.job, c.pods); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestOverdue(t *testing.T) {
	t.Parallel()
	ended := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"millrace.dev/ended-at": "2026-11-23T04:00:00Z"}}}
	running, over := podIn(corev1.PodRunning, 20), podIn(corev1.PodSucceeded, 20)
	for name, c := range map[string]struct {
		job  *batchv1.Job
		pods []*corev1.Pod
		want string
	}{
		"it runs, and may":      {&batchv1.Job{}, []*corev1.Pod{running}, "0001-01-01T00:00:00Z"},
		"it has ended":          {ended, []*corev1.Pod{over}, "0001-01-01T00:00:00Z"},
		"it is to end":          {ended, []*corev1.Pod{over, running}, "2026-11-23T04:01:20Z"},
		"its grace is not told": {ended, []*corev1.Pod{{}}, "2026-11-23T04:01:30Z"},
	} {
		if got := kube.Overdue(c.job, c.pods, time.Minute).Format(time.RFC3339); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// TestStrip leaves what judging and ending need, and no file of a job.
func TestStrip(t *testing.T) {
	t.Parallel()
	ref := &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{Key: "k"}}
	full := corev1.PodSpec{
		NodeName:         "node",
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
		Volumes:          []corev1.Volume{{Name: "a", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}}, {Name: "b"}},
		InitContainers:   []corev1.Container{{Name: "clone"}},
		Containers:       []corev1.Container{{Name: "sidecar"}, {Name: "task", Image: "i", Command: []string{"c"}, Env: []corev1.EnvVar{{Name: "A", Value: "large"}, {Name: "B", ValueFrom: ref}}}},
	}
	left := corev1.PodSpec{
		NodeName:       "node",
		Volumes:        full.Volumes[:1:1],
		InitContainers: []corev1.Container{{Name: "clone"}},
		Containers:     []corev1.Container{{Name: "sidecar"}, {Name: "task", Image: "i", Env: []corev1.EnvVar{{Name: "B", ValueFrom: ref}}}},
	}
	meta := metav1.ObjectMeta{
		Name: "n", UID: "u", ResourceVersion: "7", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
		Annotations: map[string]string{"millrace.dev/timeout": "1h", "file.millrace.dev/1": "large", "event.millrace.dev": "large", "x": "y"},
	}
	want := metav1.ObjectMeta{Name: "n", UID: "u", ResourceVersion: "7", Annotations: map[string]string{"millrace.dev/timeout": "1h"}}

	job, err := kube.Strip(&batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{
		Suspend: new(true), Template: corev1.PodTemplateSpec{ObjectMeta: meta, Spec: full},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ofJob := left
	ofJob.Containers = left.Containers[1:] // The only one that is given a Secret.
	wantJob := &batchv1.Job{ObjectMeta: want, Spec: batchv1.JobSpec{Suspend: new(true), Template: corev1.PodTemplateSpec{Spec: ofJob}}}
	if diff := cmp.Diff(any(wantJob), job); diff != "" {
		t.Errorf("job (-want +got):\n%s", diff)
	}
	pod, err := kube.Strip(&corev1.Pod{ObjectMeta: meta, Spec: full, Status: corev1.PodStatus{
		Phase: corev1.PodRunning, HostIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady}, {Type: corev1.PodScheduled}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	wantPod := &corev1.Pod{ObjectMeta: want, Spec: left, Status: corev1.PodStatus{
		Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled}},
		InitContainerStatuses: []corev1.ContainerStatus{}, ContainerStatuses: []corev1.ContainerStatus{},
	}}
	if diff := cmp.Diff(any(wantPod), pod); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
}
