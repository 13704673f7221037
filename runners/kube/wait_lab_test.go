//go:build lab

package kube_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/runners"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// count is a script that says the numbers from 1 to n, some each second.
func count(n int, pause string) string {
	return fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; sleep %s; done", n, pause)
}

// wantOnce tells that the job was made once and had one pod.
func wantOnce(t *testing.T, lab *labtest.Lab, id, uid string) {
	t.Helper()
	job, err := lab.Client.BatchV1().Jobs(lab.Namespace).Get(t.Context(), id, metav1.GetOptions{})
	if err != nil || string(job.UID) != uid {
		t.Fatalf("job: got uid %q and error %v, want uid %q", job.UID, err, uid)
	}
	pods, err := lab.Client.CoreV1().Pods(lab.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "job-name=" + id})
	if err != nil || len(pods.Items) > 1 {
		t.Fatalf("pods: got %d and error %v, want one at most", len(pods.Items), err)
	}
}

// TestOrdinaryTask counts what a task costs the API: one write, and no polling.
func TestOrdinaryTask(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	for _, n := range []int{1, 60} {
		var m meter
		p, job := newProcess(t, lab, m.reach, nil), shell(t, count(n, "0.1"))
		w := wait(t, p, job.ID, start(t, p, job))
		w.result(t, runners.Succeeded)
		wantText(t, w, numbers(n))
		counts := m.take()
		for _, once := range []string{"list jobs", "list pods"} { // The process itself, when it begins.
			if counts[once] != 1 {
				t.Errorf("%s: got %d times, want once", once, counts[once])
			}
			delete(counts, once)
		}
		// However long it takes: streams for what the first one missed at its end, and while nothing runs yet, looks
		// at the events at doubled distances.
		for what, most := range map[string]int{"get pods/log": 4, "list events": 6} {
			if counts[what] > most {
				t.Errorf("%s: got %d times, want %d at most", what, counts[what], most)
			}
			delete(counts, what)
		}
		if diff := cmp.Diff(map[string]int{"create jobs": 1}, counts); diff != "" {
			t.Errorf("a task of %d lines: other requests (-want +got):\n%s", n, diff)
		}
	}
}

// TestAgentKilled has an agent die while a job runs: the next one joins the job, and goes on with its log.
func TestAgentKilled(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	first, job := newProcess(t, lab, nil, nil), shell(t, count(60, "0.1"))
	uid := start(t, first, job)
	w := wait(t, first, job.ID, uid)
	w.until(t, " task 20\n")
	w.cancel()
	first.Kill()
	<-w.done
	second := newProcess(t, lab, nil, nil)
	if joined := start(t, second, job); joined != uid {
		t.Errorf("uid: got %q, want %q", joined, uid)
	}
	joined := wait(t, second, job.ID, uid, w.log.Bytes()...)
	joined.result(t, runners.Succeeded)
	wantText(t, joined, numbers(60))
	wantOnce(t, lab, job.ID, uid)
}

// TestJobDeleted has somebody delete what runs: it is lost, and nothing is made in its place.
func TestJobDeleted(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	p, job := newProcess(t, lab, nil, nil), shell(t, "echo ready; sleep 600")
	w := wait(t, p, job.ID, start(t, p, job))
	w.until(t, "ready")
	remove(t, lab, job.ID)
	res := w.result(t, runners.Lost)
	if res.StartedAt.IsZero() {
		t.Errorf("got %+v, want it to be told as started: it must not be tried again for free", res)
	}
	if _, err := lab.Client.BatchV1().Jobs(lab.Namespace).Get(t.Context(), job.ID, metav1.GetOptions{}); err == nil {
		t.Error("the job was made again")
	}
}

// remove deletes a Job and returns when it is gone.
func remove(t *testing.T, lab *labtest.Lab, id string) {
	t.Helper()
	client := lab.Client.BatchV1().Jobs(lab.Namespace)
	watch, err := client.Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + id})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	background := metav1.DeletePropagationBackground
	if err := client.Delete(t.Context(), id, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Fatal(err)
	}
	for event := range watch.ResultChan() {
		if event.Type == "DELETED" {
			return
		}
	}
	t.Fatal("the watch of a job that is deleted ended")
}

// TestJobReplaced has somebody put another Job in the place of ours.
func TestJobReplaced(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	p, job := newProcess(t, lab, nil, nil), shell(t, "echo ready; sleep 600")
	uid := start(t, p, job)
	w := wait(t, p, job.ID, uid)
	w.until(t, "ready")
	remove(t, lab, job.ID)
	w.result(t, runners.Lost)
	other := start(t, newProcess(t, lab, nil, nil), job)
	again := wait(t, p, job.ID, uid)
	res := again.result(t, runners.Lost)
	if !strings.Contains(res.Reason, uid) || !strings.Contains(res.Reason, other) {
		t.Errorf("reason: got %q, want it to name %s and %s", res.Reason, uid, other)
	}
}

// TestPodDeleted has somebody delete the pod of a job that runs: it is not started again.
func TestPodDeleted(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	p, job := newProcess(t, lab, nil, nil), shell(t, "echo ready; sleep 600")
	job.Grace = time.Second
	uid := start(t, p, job)
	w := wait(t, p, job.ID, uid)
	w.until(t, "ready")
	err := lab.Client.CoreV1().Pods(lab.Namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "job-name=" + job.ID})
	if err != nil {
		t.Fatal(err)
	}
	res := w.result(t, runners.Lost)
	if res.StartedAt.IsZero() || !strings.Contains(res.Reason, "deleted") {
		t.Errorf("got %+v, want a reason and that it had started", res)
	}
	wantOnce(t, lab, job.ID, uid)
}

// TestUnheard waits for a Job that the watch never tells of.
func TestUnheard(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	var m meter
	p, job := newProcess(t, lab, m.reach, nil), shell(t, "true")
	m.expire(true)
	m.cut()
	w := wait(t, p, job.ID, start(t, p, job))
	m.expire(false)
	w.result(t, runners.Succeeded)
}
