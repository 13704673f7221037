//go:build lab

package kube_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/runners"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestCancel stops a job that says goodbye: one call to the API, what it says is heard, and nothing of it is left.
func TestCancel(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	var m meter
	p, job := newProcess(t, lab, m.reach, nil), shell(t, "trap 'echo goodbye; exit 0' TERM; echo ready; while :; do sleep 0.1; done")
	uid := start(t, p, job)
	w := wait(t, p, job.ID, uid)
	w.until(t, "ready")
	m.take()
	if err := p.Stop(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	counts := m.take()
	for _, pod := range podsOf(t, lab, job.ID) {
		if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			t.Errorf("pod %s is %s when the stop has returned", pod.Name, pod.Status.Phase)
		}
	}
	w.result(t, runners.Canceled) // Though it ended with 0.
	wantText(t, w, "ready\ngoodbye\n")
	if counts["patch jobs"] != 1 || len(counts) > 2 { // The Job has changed since it was heard of: then it takes two more.
		t.Errorf("requests: got %v, want one patch", counts)
	}
	if again, err := newProcess(t, lab, nil, nil).Start(t.Context(), job); again != uid || err != nil {
		t.Errorf("start after the stop: got %q and error %v, want %q: it was made", again, err, uid)
	}
	wantOnce(t, lab, job.ID, uid)
}

func podsOf(t *testing.T, lab *labtest.Lab, id string) []corev1.Pod {
	t.Helper()
	pods, err := lab.Client.CoreV1().Pods(lab.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "job-name=" + id})
	if err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

// TestStopUnstarted stops a job that has a pod and no container yet.
func TestStopUnstarted(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	p, job := newProcess(t, lab, nil, nil), shell(t, "true")
	job.Image = labtest.Registry + "/there-is-none:1"
	w := wait(t, p, job.ID, start(t, p, job))
	w.until(t, "waiting for task")
	if err := p.Stop(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	if res := w.result(t, runners.Canceled); !res.StartedAt.IsZero() {
		t.Errorf("got %+v, want it to be told as never started", res)
	}
}

// TestStopStale stops a job that has ended in the eyes of the cluster, while the watch is cut: nothing changes.
func TestStopStale(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	var m meter
	stale, p, job := newProcess(t, lab, m.reach, nil), newProcess(t, lab, nil, nil), shell(t, "echo ready; sleep 1; exit 5")
	uid := start(t, stale, job)
	w := wait(t, stale, job.ID, uid)
	w.until(t, "ready")
	m.expire(true)
	m.cut()
	wait(t, p, job.ID, uid).result(t, runners.Failure)
	stopped := make(chan error, 1)
	go func() { stopped <- stale.Stop(t.Context(), job.ID) }()
	m.expire(false)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if res := w.result(t, runners.Failure); res.ExitCode != 5 {
		t.Errorf("got %+v, want exit code 5", res)
	}
}

// TestStopForeign leaves alone what only has the name of ours.
func TestStopForeign(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	p, job := newProcess(t, lab, nil, nil), shell(t, "true")
	makeForeign(t, lab, job.ID)
	if err := p.Stop(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	there, err := lab.Client.BatchV1().Jobs(lab.Namespace).Get(t.Context(), job.ID, metav1.GetOptions{})
	if err != nil || len(there.Annotations) > 0 {
		t.Errorf("got annotations %v and error %v, want it as it was", there.Annotations, err)
	}
}

// TestSweep removes what has ended and is not wanted, with its pods, and nothing else.
func TestSweep(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	p := newProcess(t, lab, nil, nil)
	wanted, ended, runs, stopped, never := shell(t, "true"), shell(t, "true"), shell(t, "echo ready; sleep 600"), shell(t, "sleep 600"), shell(t, "true")
	for _, job := range []runners.Job{wanted, ended} {
		wait(t, p, job.ID, start(t, p, job)).result(t, runners.Succeeded)
	}
	w := wait(t, p, runs.ID, start(t, p, runs))
	w.until(t, "ready")
	stopping := wait(t, p, stopped.ID, start(t, p, stopped))
	for _, id := range []string{stopped.ID, never.ID} {
		if err := p.Stop(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	stopping.result(t, runners.Canceled)
	makeForeign(t, lab, "foreign")
	swept := 0
	deadline := time.After(time.Minute)
	for swept < 3 { // The Job controller is a little later than the pod.
		n, err := p.Sweep(t.Context(), func(id string) bool { return id == wanted.ID })
		if err != nil {
			t.Fatal(err)
		}
		swept += n
		select {
		case <-deadline:
			t.Fatalf("swept %d, want 3", swept)
		case <-time.After(100 * time.Millisecond): // Nothing signals what Sweep may do now.
		}
	}
	for id, want := range map[string]bool{wanted.ID: true, runs.ID: true, "foreign": true, ended.ID: false, stopped.ID: false, never.ID: false} {
		if _, err := lab.Client.BatchV1().Jobs(lab.Namespace).Get(t.Context(), id, metav1.GetOptions{}); (err == nil) != want {
			t.Errorf("%s: got error %v, want it there: %v", id, err, want)
		}
	}
	if swept != 3 {
		t.Errorf("swept %d, want 3", swept)
	}
}

// TestSweepOfTwo has two Millraces share a namespace: neither sweeps the other's, and each joins what it did not make.
func TestSweepOfTwo(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	a, b := newProcessOf(t, lab, "a", nil, nil), newProcessOf(t, lab, "b", nil, nil)
	job, never := shell(t, "true"), shell(t, "true")
	uid := start(t, a, job)
	wait(t, a, job.ID, uid).result(t, runners.Succeeded)
	if err := a.Stop(t.Context(), never.ID); err != nil {
		t.Fatal(err)
	}
	if again := start(t, b, job); again != uid {
		t.Errorf("started by the other: got uid %q, want %q", again, uid)
	}
	wait(t, b, job.ID, uid).result(t, runners.Succeeded)
	none := func(string) bool { return false }
	deadline := time.After(time.Minute)
	for swept := 0; swept < 2; {
		if n, err := b.Sweep(t.Context(), none); n > 0 || err != nil {
			t.Fatalf("the other swept %d, error %v, want nothing", n, err)
		}
		n, err := a.Sweep(t.Context(), none)
		if err != nil {
			t.Fatal(err)
		}
		swept += n
		select {
		case <-deadline:
			t.Fatalf("its maker swept %d, want 2", swept)
		case <-time.After(100 * time.Millisecond): // Nothing signals what Sweep may do now.
		}
	}
}

// TestStopWithoutNamespace stops what cannot be there: there is no namespace for it.
func TestStopWithoutNamespace(t *testing.T) {
	t.Parallel()
	lab := *labtest.Open(t)
	lab.Namespace += "-absent"
	p, job := newProcess(t, &lab, nil, nil), shell(t, "true")
	if err := p.Stop(t.Context(), job.ID); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := p.Start(t.Context(), job); !errors.Is(err, runners.ErrRefused) {
		t.Errorf("start: got error %v, want %v", err, runners.ErrRefused)
	}
}

// TestStopBeforeStart has the text of a stop that came first.
func TestStopBeforeStart(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	p, job := newProcess(t, lab, nil, nil), shell(t, "true")
	if err := p.Stop(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Start(t.Context(), job); !errors.Is(err, runners.ErrStopped) || !strings.Contains(err.Error(), job.ID) {
		t.Errorf("start: got error %v, want %v of %s", err, runners.ErrStopped, job.ID)
	}
	if pods := podsOf(t, lab, job.ID); len(pods) > 0 {
		t.Errorf("got %d pods, want none", len(pods))
	}
}
