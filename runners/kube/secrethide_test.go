package kube_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/millrace-ci/millrace/agent/mask"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/kube"
	"github.com/millrace-ci/millrace/runners/runnertest"
)

// vault has Secrets of a cluster, and notes who asks for them.
type vault struct {
	mu    sync.Mutex
	data  map[string]map[string]string
	asked map[string]int
	err   error
}

func (v *vault) get(_ context.Context, name string) (*corev1.Secret, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.asked == nil {
		v.asked = map[string]int{}
	}
	v.asked[name]++
	secret := &corev1.Secret{Data: map[string][]byte{}}
	for key, value := range v.data[name] {
		secret.Data[key] = []byte(value)
	}
	return secret, v.err
}

func (v *vault) set(name, key, value string) func(*kube.Follower) {
	return func(*kube.Follower) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.data[name] = map[string]string{key: value}
	}
}

// maskedLog hides what it was told in what is written from then on.
type maskedLog struct {
	runnertest.Log
	values []string
}

func (l *maskedLog) Mask(values ...string) { l.values = append(l.values, values...) }

func (l *maskedLog) Write(p []byte) (int, error) {
	m, err := mask.New(l.values...)
	if err != nil {
		return 0, err
	}
	_, err = l.Log.Write([]byte(m.Text(string(p))))
	return len(p), err
}

// secretStage is stage of a job named job, of which container task is given entry `key` of its own Secret and of deploy.
func secretStage(clone, task corev1.ContainerState) kube.Sight {
	s := stage(clone, task)
	s.Job.Name = "job"
	var env []corev1.EnvVar
	for _, name := range []string{"job", "deploy"} {
		ref := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: "key"}
		env = append(env, corev1.EnvVar{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: ref}})
	}
	s.Job.Spec.Template.Spec.Containers = []corev1.Container{{Name: "task", Env: env}}
	return s
}

// followSecrets is follow of such a job.
func followSecrets(t *testing.T, v *vault, n *node, log runners.Log, steps ...func(*kube.Follower)) (*kube.Follower, error) {
	t.Helper()
	f, err := kube.NewFollowerOf(secretStage(idle, idle).Job, v.get, n.open, log)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.Run(t.Context()) }()
	for _, step := range steps {
		synctest.Wait()
		step(f)
	}
	return f, <-done
}

// TestSecretsAsTheyAreAtTheStart has a Secret that is made after the wait began, and changed before the task starts.
func TestSecretsAsTheyAreAtTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &vault{data: map[string]map[string]string{"job": {"key": "own-secret"}}}
		n := &node{logs: map[string][]entry{"clone": said("cloned with own-secret\n"), "task": said("first-value second-value other-entry own-secret\n")}}
		var log maskedLog
		f, err := followSecrets(t, v, n, &log,
			see(secretStage(idle, idle), kube.Verdict{Waiting: "own-secret is not\n" + strings.Repeat("x", 973) + " own-secret"}),
			v.set("deploy", "key", "first-value"),
			see(secretStage(running, idle), kube.Verdict{}),
			see(secretStage(ended, idle), kube.Verdict{}),
			v.set("deploy", "key", "second-value"),
			see(secretStage(ended, running), kube.Verdict{}),
			v.set("deploy", "other", "other-entry"),
			see(secretStage(ended, ended), success),
		)
		if err != nil {
			t.Fatal(err)
		}
		want := "millrace waiting for clone: *** is not " + strings.Repeat("x", 973) + " ***\nclone cloned with ***\ntask *** *** other-entry ***\n"
		if diff := cmp.Diff(want, texts(&log.Log)); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]int{"job": 1, "deploy": 3}, v.asked); diff != "" {
			t.Errorf("calls for each Secret, one before the first words and one for each start (-want +got):\n%s", diff)
		}
		if got, want := f.Words("first-value\nsecond-value"), "***\n***"; got != strings.ReplaceAll(want, "\n", " ") {
			t.Errorf("words: got %q, want %q", got, want)
		}
	})
}

// TestSecretsOfAResult knows all values when a result is told, also of a job of which no container has started.
func TestSecretsOfAResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &vault{data: map[string]map[string]string{"deploy": {"key": "hush hush\tvalue"}}}
		var log maskedLog
		f, err := followSecrets(t, v, &node{}, &log, see(secretStage(ended, idle), kube.Verdict{Result: &runners.Result{Class: runners.Infrastructure}}))
		if err != nil {
			t.Fatal(err)
		}
		// Both would show a part: with the cut in the middle of the value, and with the space in it made one.
		for _, text := range []string{strings.Repeat("x", 990) + "hush hush\tvalue", "exec: hush hush\tvalue: not found"} {
			if got := f.Words(text); strings.Contains(got, "hush") {
				t.Errorf("a part is shown: %q", got)
			}
		}
		if diff := cmp.Diff([]string{"hush hush\tvalue"}, log.values); diff != "" {
			t.Errorf("the log was told (-want +got):\n%s", diff)
		}
	})
}

// TestSecretsTooLarge has a task that is given more than can be hidden: nothing of it is shown.
func TestSecretsTooLarge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &vault{data: map[string]map[string]string{"deploy": {"key": strings.Repeat("large", 60<<10)}, "job": {"key": "ab"}}}
		n := &node{logs: map[string][]entry{"task": said("large\n")}}
		var log maskedLog
		f, err := followSecrets(t, v, n, &log, see(secretStage(ended, running), kube.Verdict{}))
		if want := fmt.Sprintf("Secret deploy, of which the task is given %d bytes, cannot be hidden", 300<<10); !errors.Is(err, runners.ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %v with %q", err, runners.ErrRefused, want)
		}
		if !strings.Contains(err.Error(), "fewer or shorter secrets") {
			t.Errorf("got error %v, want it to say what to do", err)
		}
		if got := string(log.Bytes()); got != "" || len(log.values) > 0 {
			t.Errorf("got log %q and %d values, want nothing", got, len(log.values))
		}
		if got := f.Words("what"); got != "what" {
			t.Errorf("words: got %q, want what can be shown", got)
		}
	})
}

// TestSecretsAreNotToldNow has an API that is away: what waits is not told, and what has started not shown.
func TestSecretsAreNotToldNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("connection refused")
		v := &vault{err: away}
		var log maskedLog
		_, err := followSecrets(t, v, &node{logs: map[string][]entry{"task": said("x\n")}}, &log,
			see(secretStage(idle, idle), kube.Verdict{Waiting: "no room"}), see(secretStage(ended, running), kube.Verdict{}))
		if got := string(log.Bytes()); got != "" || !errors.Is(err, away) {
			t.Errorf("got log %q and error %v, want nothing and %v", got, err, away)
		}
	})
}
