package kube_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/kube"
	"github.com/millrace-ci/millrace/runners/runnertest"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// node is a cluster that has one pod's logs. Each stream that it opens is what the next of answers makes of the log; when
// there are no more, the stream is what it should be.
type node struct {
	mu      sync.Mutex
	logs    map[string][]entry
	answers []func(stream string) (io.ReadCloser, error)
	opened  []corev1.PodLogOptions
}

func (n *node) open(_ context.Context, _ string, opts *corev1.PodLogOptions) (io.ReadCloser, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opened = append(n.opened, *opts)
	from := time.Time{}
	if opts.SinceTime != nil {
		from = opts.SinceTime.Time
	}
	stream := served(n.logs[opts.Container], from)
	if len(n.answers) == 0 {
		return io.NopCloser(strings.NewReader(stream)), nil
	}
	answer := n.answers[0]
	n.answers = n.answers[1:]
	return answer(stream)
}

// whole is a stream that ends where it should, cut one that breaks off after so many bytes, refused none at all.
func whole(stream string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(stream)), nil }

func cut(n int) func(string) (io.ReadCloser, error) {
	return func(stream string) (io.ReadCloser, error) {
		broken := iotestErr{errors.New("connection reset by peer")}
		return io.NopCloser(io.MultiReader(strings.NewReader(stream[:min(n, len(stream))]), broken)), nil
	}
}

type iotestErr struct{ err error }

func (e iotestErr) Read([]byte) (int, error) { return 0, e.err }

func refused(err error) func(string) (io.ReadCloser, error) {
	return func(string) (io.ReadCloser, error) { return nil, err }
}

// stage is a job with a pod of which containers are in these states.
func stage(clone, task corev1.ContainerState) kube.Sight {
	containers := []corev1.Container{{Name: "clone"}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod", UID: "1"}}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "clone", State: clone}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "task", State: task}}
	job := &batchv1.Job{}
	job.Spec.Template.Spec.InitContainers = containers
	return kube.Sight{Job: job, Pods: []*corev1.Pod{pod}}
}

var (
	idle    = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}
	running = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(midnight)}}
	ended   = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: metav1.NewTime(midnight)}}
	success = kube.Verdict{Result: &runners.Result{Class: runners.Succeeded}}
)

// follow runs a follower on n, and steps one after the other when it has done what it could; it returns the log.
func follow(t *testing.T, n *node, log runners.Log, steps ...func(*kube.Follower)) error {
	t.Helper()
	f, err := kube.NewFollower(n.open, log)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.Run(t.Context()) }()
	for _, step := range steps {
		synctest.Wait()
		step(f)
	}
	return <-done
}

func see(s kube.Sight, v kube.Verdict) func(*kube.Follower) {
	return func(f *kube.Follower) { f.See(s, v) }
}

// texts are the lines of a log without their times.
func texts(log *runnertest.Log) string {
	var out strings.Builder
	for line := range bytes.Lines(log.Bytes()) {
		_, text, _ := bytes.Cut(line, []byte(" "))
		out.Write(text)
	}
	return out.String()
}

func wantTexts(t *testing.T, log *runnertest.Log, want string) {
	t.Helper()
	log.Text(t, "task") // It checks the lines.
	if diff := cmp.Diff(want, texts(log)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &node{logs: map[string][]entry{"clone": said("cloning\n", "cloned\n"), "task": said("a\n", "b")}}
		var log runnertest.Log
		err := follow(t, n, &log,
			see(kube.Sight{Job: stage(idle, idle).Job}, kube.Verdict{Waiting: "Unschedulable: no room"}),
			see(kube.Sight{Job: stage(idle, idle).Job}, kube.Verdict{Waiting: "Unschedulable: no room"}),
			see(stage(idle, idle), kube.Verdict{Waiting: "container clone: ErrImagePull:\nnot found"}),
			see(stage(running, idle), kube.Verdict{}),
			see(stage(ended, idle), kube.Verdict{}),
			see(stage(ended, idle), kube.Verdict{Waiting: "container task is being created"}),
			see(stage(ended, running), kube.Verdict{}),
			see(stage(ended, ended), success),
		)
		if err != nil {
			t.Fatal(err)
		}
		wantTexts(t, &log, "millrace waiting for clone: Unschedulable: no room\nmillrace waiting for clone: container clone: ErrImagePull: not found\n"+
			"clone cloning\nclone cloned\nmillrace waiting for task: container task is being created\ntask a\ntask b\n")
		for _, opts := range n.opened {
			if !opts.Timestamps {
				t.Errorf("got stream %+v, want time stamps", opts)
			}
		}
	})
}

// TestFollowIsCut has connections that break off, streams that end early, and a server that is away for an hour.
func TestFollowIsCut(t *testing.T) {
	t.Parallel()
	log := said("one\n", "two\n", "three\n", "four\n", "five\n", "six\n")
	away := refused(errors.New("dial tcp 127.0.0.1:443: connect: connection refused"))
	synctest.Test(t, func(t *testing.T) {
		n := &node{logs: map[string][]entry{"task": log}, answers: []func(string) (io.ReadCloser, error){
			cut(60), refused(apierrors.NewBadRequest(`container "task" is waiting to start`)), whole, cut(150), cut(0),
		}}
		for range 720 {
			n.answers = append(n.answers, away)
		}
		var got runnertest.Log
		err := follow(t, n, &got, see(stage(ended, running), kube.Verdict{}), see(stage(ended, ended), success))
		if err != nil {
			t.Fatal(err)
		}
		wantTexts(t, &got, "task one\ntask two\ntask three\ntask four\ntask five\ntask six\n")
	})
}

// resumed is a log that an earlier Wait has left off.
type resumed struct {
	runnertest.Log
	last string
}

func (l *resumed) Resume() (string, error) { return l.last, nil }

func TestResume(t *testing.T) {
	t.Parallel()
	logs := map[string][]entry{"clone": said("x\n", "y\n"), "task": said("a\n", "b\n", "c\n")}
	at := func(i int, rest string) string {
		return midnight.Add(time.Duration(i)*time.Second).Format("2006-01-02T15:04:05.000000000Z ") + rest
	}
	for _, c := range []struct{ last, want string }{
		{"", "clone x\nclone y\ntask a\ntask b\ntask c\n"},
		{at(3600, "millrace waiting for clone: container clone is being created"), "clone x\nclone y\ntask a\ntask b\ntask c\n"},
		{at(0, "clone x"), "clone y\ntask a\ntask b\ntask c\n"},
		{at(1, "clone y"), "task a\ntask b\ntask c\n"},
		{at(3600, "millrace waiting for task: container task is being created"), "task a\ntask b\ntask c\n"},
		{at(0, "task ***"), "task b\ntask c\n"},
		{at(2, "task c"), ""},
		{at(1, "millrace [log gap: task: lines are missing]"), "task c\n"},
		{at(9, "millrace [the log is larger than 10 bytes: the rest is not kept]"), ""},
		{"[millrace: this log is longer than 16 MiB; what follows was dropped]", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			log := &resumed{last: c.last}
			if err := follow(t, &node{logs: logs}, log, see(stage(ended, ended), success)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, texts(&log.Log)); diff != "" {
				t.Errorf("behind %q (-want +got):\n%s", c.last, diff)
			}
		})
	}
}

// TestNotGivenOut has a node that does not give out the log of a container that has ended.
func TestNotGivenOut(t *testing.T) {
	t.Parallel()
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "pod")
	down := apierrors.NewInternalError(errors.New("dial tcp 127.0.0.1:10250: connect: connection refused"))
	for _, c := range []struct {
		name   string
		err    error
		before string
		atMost time.Duration
	}{
		{"the pod is gone", gone, "", time.Second},
		{"the pod is gone later", gone, "one\n", time.Second},
		{"the node is gone", down, "", kube.Patience + 10*time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := &node{logs: map[string][]entry{"task": said("one\n", "two\n")}}
			if c.before != "" {
				n.answers = append(n.answers, cut(42))
			}
			for range 100 {
				n.answers = append(n.answers, refused(c.err))
			}
			var log runnertest.Log
			begin := time.Now()
			if err := follow(t, n, &log, see(stage(corev1.ContainerState{}, ended), success)); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took > c.atMost {
				t.Errorf("%s: took %s, want at most %s", c.name, took, c.atMost)
			}
			if got := log.Text(t, "task"); got != c.before {
				t.Errorf("%s: got %q, want %q", c.name, got, c.before)
			}
			if got := log.Text(t, "millrace"); !strings.Contains(got, "[log gap: task: ") || !strings.Contains(got, c.err.Error()) || strings.Count(got, "\n") != 1 {
				t.Errorf("%s: got %q, want one line about the gap that says %q", c.name, got, c.err)
			}
		})
	}
}

// TestGoneWithThePod has a job that is ended early: its pod goes, and all of its log was read by then.
func TestGoneWithThePod(t *testing.T) {
	t.Parallel()
	gone := refused(apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "pod"))
	synctest.Test(t, func(t *testing.T) {
		n := &node{logs: map[string][]entry{"task": said("one\n", "two")}, answers: []func(string) (io.ReadCloser, error){whole, whole, gone}}
		var log runnertest.Log
		if err := follow(t, n, &log, see(stage(ended, running), kube.Verdict{}), see(stage(ended, ended), success)); err != nil {
			t.Fatal(err)
		}
		wantTexts(t, &log, "task one\ntask two\n")
	})
}

// TestDeadStream has a stream that says nothing more, and does not end, though its container has ended.
func TestDeadStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &node{logs: map[string][]entry{"task": said("one\n", "two\n")}}
		open := func(ctx context.Context, pod string, opts *corev1.PodLogOptions) (io.ReadCloser, error) {
			if !opts.Follow {
				return n.open(ctx, pod, opts)
			}
			r, w := io.Pipe()
			context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
			go io.WriteString(w, served(n.logs["task"][:1], time.Time{}))
			return r, nil
		}
		var log runnertest.Log
		f, err := kube.NewFollower(open, &log)
		if err != nil {
			t.Fatal(err)
		}
		f.See(stage(ended, running), kube.Verdict{})
		done := make(chan error, 1)
		go func() { done <- f.Run(t.Context()) }()
		synctest.Wait()
		wantTexts(t, &log, "task one\n")
		begin := time.Now()
		f.See(stage(ended, ended), success)
		if err := <-done; err != nil || time.Since(begin) > kube.Lagging+time.Second {
			t.Errorf("got error %v after %s", err, time.Since(begin))
		}
		wantTexts(t, &log, "task one\ntask two\n")
	})
}

type brokenLog struct{ runnertest.Log }

var errBroken = errors.New("redis is away")

func (*brokenLog) Write([]byte) (int, error) { return 0, errBroken }

func TestFollowEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &node{logs: map[string][]entry{"task": said("one\n")}}
		if err := follow(t, n, &brokenLog{}, see(stage(ended, running), kube.Verdict{})); !errors.Is(err, errBroken) {
			t.Errorf("the log cannot be written: got error %v, want %v", err, errBroken)
		}
		f, err := kube.NewFollower(n.open, &runnertest.Log{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		f.See(stage(ended, running), kube.Verdict{})
		time.AfterFunc(time.Minute, cancel)
		if err := f.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("the watch ends: got error %v, want %v", err, context.Canceled)
		}
	})
}

// TestLargeLog has 40 MiB copied whole, and of the same no more than a smaller bound says.
func TestLargeLog(t *testing.T) {
	t.Parallel()
	var log []entry
	want := 0
	for i := range 40 << 10 {
		log = append(log, entry{midnight.Add(time.Duration(i) * time.Millisecond), fmt.Sprintf("%05d %01000d\n", i, 0)})
		want += len(log[i].text)
	}
	for _, bound := range []int{runners.MaxLog, 10 << 20} {
		synctest.Test(t, func(t *testing.T) {
			var got runnertest.Log
			bind := func(f *kube.Follower) { f.Bound(bound) }
			if err := follow(t, &node{logs: map[string][]entry{"task": log}}, &got, bind, see(stage(ended, ended), success)); err != nil {
				t.Fatal(err)
			}
			text, said := got.Text(t, "task"), got.Text(t, "millrace")
			if !strings.HasPrefix(text, "00000 ") {
				t.Errorf("got a log that begins with %.10q, want it from the first line on", text)
			}
			if bound == runners.MaxLog {
				if len(text) != want || said != "" {
					t.Errorf("got %d bytes and %q, want all %d", len(text), said, want)
				}
				return
			}
			if size := len(got.Bytes()); size > bound+200 || size < bound-2000 {
				t.Errorf("got %d bytes, want about %d", size, bound)
			}
			if strings.Count(said, "\n") != 1 || !strings.Contains(said, "the rest is not kept") {
				t.Errorf("got %q, want one line that says that the rest is not kept", said)
			}
		})
	}
}
