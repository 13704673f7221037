//go:build lab

package kube_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/kube"
	"github.com/millrace-ci/millrace/runners/runnertest"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// process is what one process of an agent has of a cluster: it shares nothing with others but the namespace.
type process struct {
	*kube.Runner
	// Kill ends all of it. It may be called again.
	Kill func()
}

// newProcess starts a process that works in the lab's namespace. Its way to the cluster is changed by reach, and its
// client by wrap, where they are not nil.
func newProcess(t *testing.T, lab *labtest.Lab, reach func(*rest.Config), wrap func(kubernetes.Interface) kubernetes.Interface) process {
	t.Helper()
	return newProcessOf(t, lab, "", reach, wrap)
}

// newProcessOf is newProcess of one of several Millraces that share the namespace.
func newProcessOf(t *testing.T, lab *labtest.Lab, instance string, reach func(*rest.Config), wrap func(kubernetes.Interface) kubernetes.Interface) process {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	cluster, err := kube.ClusterWith(kube.ClusterConfig{Kubeconfig: lab.Kubeconfig, QPS: -1, Log: log}, reach, wrap)
	if err != nil {
		t.Fatal(err)
	}
	r, err := kube.New(kube.Config{Cluster: cluster, Namespace: lab.Namespace, Instance: instance, GitImage: labtest.Git, Read: readKept, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- cluster.Run(ctx) }()
	kill := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run cluster: %v", err)
		}
	})
	t.Cleanup(kill)
	return process{Runner: r, Kill: kill}
}

// readKept reads secrets that are kept in files and in the environment.
func readKept(from runners.Keeper) (map[string][]byte, error) {
	values := map[string]string{}
	for _, name := range from.Env {
		values[name] = os.Getenv(name)
	}
	if from.File != "" {
		data, err := os.ReadFile(from.File)
		if err != nil {
			return nil, err
		}
		if values, err = runners.ParseOutputs(data); err != nil {
			return nil, err
		}
	}
	entries := map[string][]byte{}
	for name, value := range values {
		entries[name] = []byte(value)
	}
	return entries, nil
}

var jobs atomic.Int64

// shell is a job that runs a script.
func shell(t *testing.T, script string) runners.Job {
	t.Helper()
	n := jobs.Add(1)
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(t.Name()))
	return runners.Job{
		ID:      fmt.Sprintf("mr-%s-%d", strings.Trim(name[max(0, len(name)-40):], "-"), n),
		Run:     fmt.Sprintf("run%d", n),
		Task:    "test",
		Attempt: 1,
		Image:   labtest.Busybox,
		Command: []string{"/bin/sh", "-c", script},
		Grace:   5 * time.Second,
		Pod:     runners.Pod{Shell: true},
	}
}

// start starts the job and returns its uid.
func start(t *testing.T, r runners.Runner, job runners.Job) string {
	t.Helper()
	uid, err := r.Start(t.Context(), job)
	if err != nil || uid == "" {
		t.Fatalf("start: got uid %q and error %v, want a uid", uid, err)
	}
	return uid
}

// waiting is a Wait in the background.
type waiting struct {
	log    keptLog
	cancel context.CancelFunc
	done   chan struct{}
	res    runners.Result
	err    error
}

// wait begins to wait for a job, whose log so far is known from an earlier wait, if any.
func wait(t *testing.T, r runners.Runner, id, uid string, before ...byte) *waiting {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	w := &waiting{cancel: cancel, done: make(chan struct{})}
	_, _ = w.log.Write(before)
	go func() {
		defer close(w.done)
		w.res, w.err = r.Wait(ctx, id, uid, &w.log)
	}()
	t.Cleanup(func() {
		cancel()
		<-w.done
	})
	return w
}

// until returns when the log says text.
func (w *waiting) until(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w.log.Await(ctx, t, text)
}

// result is how the job ended, which must be of class want.
func (w *waiting) result(t *testing.T, want runners.Class) runners.Result {
	t.Helper()
	<-w.done
	if w.err != nil {
		t.Fatalf("wait: %v; the log is:\n%s", w.err, w.log.Bytes())
	}
	if w.res.Class != want {
		t.Fatalf("class: got %q, want %q; the result is %+v, the log is:\n%s", w.res.Class, want, w.res, w.log.Bytes())
	}
	return w.res
}

// keptLog is a log that knows where it was left.
type keptLog struct {
	runnertest.Log
	masked []string // until the wait has ended it is Wait's alone
}

// Resume returns the last line.
func (l *keptLog) Resume() (string, error) {
	lines := strings.Split(strings.TrimSuffix(string(l.Bytes()), "\n"), "\n")
	return lines[len(lines)-1], nil
}

// Mask keeps the values.
func (l *keptLog) Mask(values ...string) { l.masked = append(l.masked, values...) }

// numbers is what a command says that counts from 1 to n.
func numbers(n int) string {
	var all strings.Builder
	for i := range n {
		fmt.Fprintln(&all, i+1)
	}
	return all.String()
}

// wantText compares what the command said.
func wantText(t *testing.T, w *waiting, want string) {
	t.Helper()
	if got := w.log.Text(t, "task"); got != want {
		t.Errorf("output: got %q, want %q; the log is:\n%s", got, want, w.log.Bytes())
	}
}
