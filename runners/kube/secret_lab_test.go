//go:build lab

package kube_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/runners"
)

// TestSecretMadeWhileWaiting has a pod wait for a Secret that is made then: its value is told before the first line of
// the command.
func TestSecretMadeWhileWaiting(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	p := newProcess(t, lab, nil, nil)
	job := shell(t, `echo "it is $TOKEN"`)
	job.Secrets = []runners.Secret{{Name: "late", From: runners.Keeper{Kubernetes: lab.Namespace + "/late"}, Key: "token", Env: "TOKEN"}}
	w := wait(t, p, job.ID, start(t, p, job))
	w.until(t, `secret "late" not found`)
	secretOf(t, lab, "late", map[string][]byte{"token": []byte("made-late")})
	w.result(t, runners.Succeeded)
	if got := strings.Join(w.log.masked, " "); got != "made-late" {
		t.Errorf("told to hide %q, want the value that was made late", got)
	}
}

// TestSecretTooLarge ends a job at once whose Secret cannot be hidden.
func TestSecretTooLarge(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	p := newProcess(t, lab, nil, nil)
	from := secretOf(t, lab, "large", map[string][]byte{"file": []byte(strings.Repeat("large", 60<<10))})
	job := shell(t, "cat /large/file; sleep 600")
	job.Secrets = []runners.Secret{{Name: "large", From: from, Path: "/large"}}
	uid, begin := start(t, p, job), time.Now()
	for range 2 { // It is the same for one who joins.
		w := wait(t, p, job.ID, uid)
		res := w.result(t, runners.Refused)
		if !strings.Contains(res.Reason, "Secret large, ") || !strings.Contains(res.Reason, "fewer or shorter secrets") || len(w.log.masked) > 0 {
			t.Errorf("got reason %q and %d values told, want the Secret's name and what to do", res.Reason, len(w.log.masked))
		}
		if text := w.log.Text(t, "task"); text != "" {
			t.Errorf("the log shows %.100q", text)
		}
	}
	if took := time.Since(begin); took > 2*time.Minute {
		t.Errorf("took %s, want it ended when its container has started", took)
	}
	found, err := lab.Client.CoreV1().Pods(lab.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "job-name=" + job.ID})
	for _, pod := range found.Items {
		if pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil {
			t.Errorf("pod %s still runs", pod.Name)
		}
	}
	if err != nil {
		t.Error(err)
	}
}
