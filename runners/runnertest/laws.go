package runnertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-ci/millrace/runners"
)

// task is the container that the command's output stands under.
const task = "task"

// succeeds has output and errors in jobs of their own: in which order the two come is not for a runner to say.
func succeeds(t *testing.T, k Kit) {
	before := time.Now().Add(-2 * time.Second) // Some clocks count in seconds.
	res, log := do(t, k, k.Job(t, "echo hello; printf 'no end'"))
	wantClass(t, res, runners.Succeeded)
	if res.ExitCode != 0 || res.Reason != "" {
		t.Errorf("got exit code %d and reason %q, want 0 and none", res.ExitCode, res.Reason)
	}
	if res.StartedAt.Before(before) || res.EndedAt.Before(res.StartedAt) || res.EndedAt.After(time.Now().Add(2*time.Second)) {
		t.Errorf("got times %s to %s, want them to be the job's", res.StartedAt, res.EndedAt)
	}
	if got, want := log.Text(t, task), "hello\nno end\n"; !strings.HasSuffix(got, want) {
		t.Errorf("output: got %q, want it to end with %q", got, want)
	}
	_, log = do(t, k, k.Job(t, "echo world >&2"))
	if got, want := log.Text(t, task), "world\n"; !strings.HasSuffix(got, want) {
		t.Errorf("errors: got %q, want them to end with %q", got, want)
	}
}

func fails(t *testing.T, k Kit) {
	res, _ := do(t, k, k.Job(t, "exit 42"))
	wantClass(t, res, runners.Failure)
	if res.ExitCode != 42 || !strings.Contains(res.Reason, "42") {
		t.Errorf("got exit code %d and reason %q, want 42", res.ExitCode, res.Reason)
	}
	res, _ = do(t, k, k.Job(t, "kill -9 $$"))
	wantClass(t, res, runners.Failure)
	if res.ExitCode != 137 {
		t.Errorf("got exit code %d, want 137 for SIGKILL", res.ExitCode)
	}
}

// outputWhole does not end in the same moment: what still fills a pipe then, some container runtimes lose
// (https://github.com/containerd/containerd/issues/7289).
func outputWhole(t *testing.T, k Kit) {
	const lines = 180_000 // a good MiB
	res, log := do(t, k, k.Job(t, fmt.Sprintf("seq 1 %d; sleep 1", lines)))
	wantClass(t, res, runners.Succeeded)
	var want strings.Builder
	for i := range lines {
		fmt.Fprintln(&want, i+1)
	}
	if got := log.Text(t, task); !strings.HasSuffix(got, want.String()) {
		t.Errorf("output: got %d bytes, want the %d that were written, in order", len(got), want.Len())
	}
}

func outputText(t *testing.T, k Kit) {
	res, log := do(t, k, k.Job(t, `printf 'a\377b\r\nc\n'; head -c 150000 /dev/zero | tr '\0' x; echo; echo end`))
	wantClass(t, res, runners.Succeeded)
	got := log.Text(t, task) // It checks the lines.
	if !strings.Contains(got, "a\ufffdb\nc\n") || strings.Count(got, "x") != 150_000 || !strings.HasSuffix(got, "\nend\n") {
		t.Errorf("output: got %d bytes, want a replacement character, 150000 x in several lines, and the end", len(got))
	}
}

// once is a script that leaves one more line in a file each time it is run.
func once(k Kit, name string) (script string, times func(t *testing.T) int) {
	path := filepath.Join(k.Dir, name)
	return fmt.Sprintf("echo run >> '%s'", path), func(t *testing.T) int {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return strings.Count(string(data), "\n")
	}
}

func wantTimes(t *testing.T, times func(t *testing.T) int, want int) {
	t.Helper()
	if got := times(t); got != want {
		t.Errorf("the command ran %d times, want %d", got, want)
	}
}

func startTwice(t *testing.T, k Kit) {
	script, times := once(k, "ran")
	r, job := k.New(t), k.Job(t, script)
	first := start(t, r, job)
	if second := start(t, r, job); second != first {
		t.Errorf("uid: got %q from the second start, want %q", second, first)
	}
	res, _ := wait(t, r, job.ID, first)
	wantClass(t, res, runners.Succeeded)
	wantTimes(t, times, 1)
}

func startAtOnce(t *testing.T, k Kit) {
	script, times := once(k, "ran")
	job := k.Job(t, script)
	var uids [20]string
	var group sync.WaitGroup
	for i := range uids {
		r := k.New(t)
		group.Go(func() {
			uid, err := r.Start(within(t), job)
			if err != nil {
				t.Errorf("start: %v", err)
			}
			uids[i] = uid
		})
	}
	group.Wait()
	for _, uid := range uids {
		if uid != uids[0] {
			t.Fatalf("uids: got %q and %q, want one", uid, uids[0])
		}
	}
	res, _ := wait(t, k.New(t), job.ID, uids[0])
	wantClass(t, res, runners.Succeeded)
	wantTimes(t, times, 1)
}

func startEnded(t *testing.T, k Kit) {
	script, times := once(k, "ran")
	r, job := k.New(t), k.Job(t, script)
	uid := start(t, r, job)
	first, _ := wait(t, r, job.ID, uid)
	if again := start(t, r, job); again != uid {
		t.Errorf("uid: got %q after the end, want %q", again, uid)
	}
	second, _ := wait(t, r, job.ID, uid)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("results differ (-first +second):\n%s", diff)
	}
	wantTimes(t, times, 1)
}

// twoWatchers compares what the command said: what it had to wait for, each watcher may tell in its own words.
func twoWatchers(t *testing.T, k Kit) {
	job := k.Job(t, "for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.05; done; exit 3")
	uid := start(t, k.New(t), job)
	var results [2]runners.Result
	var logs [3]*Log
	var group sync.WaitGroup
	for i := range results {
		r := k.New(t)
		group.Go(func() { results[i], logs[i] = wait(t, r, job.ID, uid) })
	}
	group.Wait()
	_, logs[2] = wait(t, k.New(t), job.ID, uid)
	if diff := cmp.Diff(results[0], results[1]); diff != "" {
		t.Errorf("results differ (-one +other):\n%s", diff)
	}
	for _, log := range logs[1:] {
		if diff := cmp.Diff(logs[0].Text(t, task), log.Text(t, task)); diff != "" {
			t.Errorf("logs differ (-one +other):\n%s", diff)
		}
	}
}

// watching is a Wait in the background.
type watching struct {
	log    Log
	cancel context.CancelFunc
	done   chan struct{}
	res    runners.Result
	err    error
}

// watch begins to wait for a job, and returns when its log says text.
func watch(t *testing.T, r runners.Runner, id, uid, text string) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(within(t))
	w := &watching{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.res, w.err = r.Wait(ctx, id, uid, &w.log)
	}()
	t.Cleanup(func() { w.end() })
	w.log.Await(ctx, t, text)
	return w
}

// end ends the watch, and returns what Wait makes of that.
func (w *watching) end() error {
	w.cancel()
	<-w.done
	return w.err
}

// release is a script that says ready and goes on once the test has called open.
func release(k Kit) (script string, open func(t *testing.T)) {
	path := filepath.Join(k.Dir, "open")
	return fmt.Sprintf("echo ready; while [ ! -e '%s' ]; do sleep 0.05; done", path), func(t *testing.T) {
		t.Helper()
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func watchEnds(t *testing.T, k Kit) {
	script, open := release(k)
	r, job := k.New(t), k.Job(t, script+"; echo went on")
	uid := start(t, r, job)
	w := watch(t, r, job.ID, uid, "ready")
	if err := w.end(); !errors.Is(err, context.Canceled) {
		t.Errorf("wait: got error %v, want %v", err, context.Canceled)
	}
	open(t)
	res, log := wait(t, r, job.ID, uid)
	wantClass(t, res, runners.Succeeded)
	if got := log.Text(t, task); !strings.HasSuffix(got, "ready\nwent on\n") {
		t.Errorf("output: got %q, want all of it", got)
	}
}

func joins(t *testing.T, k Kit) {
	script, open := release(k)
	effect, times := once(k, "ran")
	job := k.Job(t, effect+"; "+script+"; exit 7")
	uid := start(t, k.New(t), job)
	other := k.New(t)
	if joined := start(t, other, job); joined != uid {
		t.Errorf("uid: got %q, want %q", joined, uid)
	}
	open(t)
	res, _ := wait(t, other, job.ID, uid)
	wantClass(t, res, runners.Failure)
	if res.ExitCode != 7 {
		t.Errorf("exit code: got %d, want 7", res.ExitCode)
	}
	wantTimes(t, times, 1)
}

func unknownLost(t *testing.T, k Kit) {
	res, log := wait(t, k.New(t), k.Job(t, "true").ID, "no-such-uid")
	wantClass(t, res, runners.Lost)
	if got := log.Bytes(); res.Reason == "" || len(got) > 0 {
		t.Errorf("got reason %q and log %q, want a reason and no log", res.Reason, got)
	}
	res, _ = wait(t, k.New(t), "../../etc", "no-such-uid")
	wantClass(t, res, runners.Lost)
}

func strangerLost(t *testing.T, k Kit) {
	r, job := k.New(t), k.Job(t, "true")
	uid := start(t, r, job)
	res, _ := wait(t, r, job.ID, uid+"x")
	wantClass(t, res, runners.Lost)
	res, _ = wait(t, r, job.ID, uid)
	wantClass(t, res, runners.Succeeded)
}
