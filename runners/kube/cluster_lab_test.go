//go:build lab

package kube_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/runners"
)

// TestAPIServerGone has the API server killed for so long that all pauses between tries have grown to their longest (a
// whole minute is TestOutage's, in test/e2e): one job ends meanwhile, one runs on, and their waits with them; what is to
// be started or stopped is not, and that is no refusal.
func TestAPIServerGone(t *testing.T) {
	lab := labtest.Open(t)
	p := newProcess(t, lab, nil, nil)
	short, long := shell(t, count(15, "1")), shell(t, count(45, "1"))
	ends, runs := wait(t, p, short.ID, start(t, p, short)), wait(t, p, long.ID, start(t, p, long))
	ends.until(t, " task 1\n")
	runs.until(t, " task 1\n")
	lab.Kill(t, labtest.APIServer)
	over := time.After(30 * time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := p.Start(ctx, shell(t, "true")); err == nil || errors.Is(err, runners.ErrRefused) {
		t.Errorf("start: got error %v, want one that is no refusal", err)
	}
	if err := p.Stop(ctx, long.ID); err == nil {
		t.Error("stop: got no error")
	}
	<-over
	lab.Start(t, labtest.APIServer)
	ends.result(t, runners.Succeeded)
	wantText(t, ends, numbers(15))
	runs.result(t, runners.Succeeded)
	wantText(t, runs, numbers(45))
}

// TestAPIServerHangs has the API server stop answering, without its connections being closed.
func TestAPIServerHangs(t *testing.T) {
	lab := labtest.Open(t)
	p, job := newProcess(t, lab, nil, nil), shell(t, count(20, "1"))
	uid := start(t, p, job)
	w := wait(t, p, job.ID, uid)
	w.until(t, " task 1\n")
	lab.Pause(t, labtest.APIServer)
	<-time.After(30 * time.Second)
	lab.Resume(t, labtest.APIServer)
	w.result(t, runners.Succeeded)
	wantText(t, w, numbers(20))
	wantOnce(t, lab, job.ID, uid)
}

// TestKubeletRestarts has the node's kubelet killed while a job runs, which ends before there is one again.
func TestKubeletRestarts(t *testing.T) {
	lab := labtest.Open(t)
	p, job := newProcess(t, lab, nil, nil), shell(t, count(10, "1"))
	uid := start(t, p, job)
	w := wait(t, p, job.ID, uid)
	w.until(t, " task 2\n")
	lab.Kill(t, labtest.Kubelet)
	<-time.After(15 * time.Second)
	lab.Start(t, labtest.Kubelet)
	w.result(t, runners.Succeeded)
	wantText(t, w, numbers(10))
	wantOnce(t, lab, job.ID, uid)
}

// TestNodeGone stops a job whose node does not answer any more: it is removed by force, and that is said.
func TestNodeGone(t *testing.T) {
	lab := labtest.Open(t)
	p, job := newProcess(t, lab, nil, nil), shell(t, "echo ready; sleep 600")
	job.Grace = time.Second
	p.SetOvertime(2 * time.Second)
	w := wait(t, p, job.ID, start(t, p, job))
	w.until(t, "ready")
	lab.Kill(t, labtest.Kubelet)
	if err := p.Stop(t.Context(), job.ID); err != nil {
		t.Error(err)
	}
	lab.Start(t, labtest.Kubelet)
	res := w.result(t, runners.Canceled)
	if want := "canceled, and its pod did not end: it was removed 2s after its grace, what its node does is not known"; res.Reason != want {
		t.Errorf("reason: got %q, want %q", res.Reason, want)
	}
}

// TestWatchCut cuts the watches again and again: nothing is missed, and nothing is listed again.
func TestWatchCut(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	var m meter
	p, job := newProcess(t, lab, m.reach, nil), shell(t, count(16, "0.5"))
	w := wait(t, p, job.ID, start(t, p, job))
	w.until(t, " task 1\n")
	m.take()
	cut := every(1500*time.Millisecond, 5*time.Second, m.cut)
	w.result(t, runners.Succeeded)
	wantText(t, w, numbers(16))
	counts := m.take()
	if counts["list jobs"]+counts["list pods"] > 0 || counts["watch jobs"] == 0 || counts["watch pods"] == 0 {
		t.Errorf("%d watches were cut: got requests %v, want no list", cut, counts)
	}
}

// every calls do at this distance, as long as it takes, and adds up what it returns.
func every(distance, long time.Duration, do func() int) int {
	ticker, end, sum := time.NewTicker(distance), time.After(long), 0
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			sum += do()
		case <-end:
			return sum
		}
	}
}

// TestWatchExpired has the API forget the past for a while: 410 Gone to each watch. All is listed again, at growing
// distances, and what has happened meanwhile is heard of.
func TestWatchExpired(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	var m meter
	p, job := newProcess(t, lab, m.reach, nil), shell(t, "echo ready; sleep 3")
	w := wait(t, p, job.ID, start(t, p, job))
	w.until(t, "ready")
	m.take()
	m.expire(true)
	every(100*time.Millisecond, 20*time.Second, m.cut)
	for what, n := range m.take() {
		if n > 12 || strings.HasPrefix(what, "list") && n == 0 {
			t.Errorf("in 20 s: got %d times %s, want a few", n, what)
		}
	}
	m.expire(false)
	w.result(t, runners.Succeeded)
}
