package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/local"
	"github.com/millrace-ci/millrace/runners/runnertest"
)

// kept is the operator's one secret.
type kept map[string][]byte

// keep lets a runner read secrets.
func keep(cfg *local.Config) kept {
	k := kept{}
	cfg.Read = func(from runners.Keeper) (map[string][]byte, error) {
		if from.File != "/kept" {
			return nil, errors.New("asked for " + from.File)
		}
		return k, nil
	}
	return k
}

func (k kept) secret(key string) runners.Secret {
	return runners.Secret{Name: "deploy", From: runners.Keeper{File: "/kept"}, Key: key}
}

func (k kept) env(key, name string) runners.Secret {
	s := k.secret(key)
	s.Env = name
	return s
}

// TestSecretIsNowhereElse looks for a secret wherever another user of the machine, or a later one of its disk, could.
func TestSecretIsNowhereElse(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	k := keep(&cfg)
	const value = "very-secret-value"
	k["token"] = []byte(value)
	job := shell(t, `echo "$TOKEN"; cat; tr '\0' ' ' < /proc/$PPID/cmdline; tr '\0' '\n' < /proc/$PPID/environ; read _`)
	job.Secrets = []runners.Secret{k.env("token", "TOKEN")}
	job.Command = append(job.Command, "x")
	r := newRunner(t, cfg)
	res, said := end(t, r, job)
	wantResult(t, res, runners.Failure, 1, "") // Its standard input is empty.
	if !strings.Contains(said, "***") || !strings.Contains(said, "_job") || strings.Contains(said, value) {
		t.Errorf("got %q, want the keeper's command line, and no secret", said)
	}
	err := filepath.WalkDir(cfg.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if data, err := os.ReadFile(path); err != nil || bytes.Contains(data, []byte(value)) {
			t.Errorf("%s holds the secret, or cannot be read: %v", path, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestSecretChangesMeanwhile joins a job whose secret has got another value, and then none.
func TestSecretChangesMeanwhile(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	k := keep(&cfg)
	k["token"] = []byte("the-first-value")
	job := shell(t, `echo "it is $TOKEN"`)
	job.Secrets = []runners.Secret{k.env("token", "TOKEN")}
	r := newRunner(t, cfg)
	uid, err := r.Start(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	delete(k, "token")
	var log runnertest.Log
	if _, err := r.Wait(t.Context(), job.ID, uid, &log); err != nil {
		t.Fatal(err)
	}
	if got, want := log.Text(t, "task"), "it is ***\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// toldLog notes what it is told to hide.
type toldLog struct {
	nopLog
	told []string
}

func (l *toldLog) Mask(values ...string) { l.told = append(l.told, values...) }

// TestWaitTellsSecrets lets who waits hide what the job says by other ways than its log, as far as it can be known.
func TestWaitTellsSecrets(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	k := keep(&cfg)
	k["token"] = []byte("the-value")
	job := shell(t, "true")
	job.Secrets = []runners.Secret{k.env("token", "TOKEN")}
	r := newRunner(t, cfg)
	uid, err := r.Start(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{{"the-value"}, nil} {
		var log toldLog
		if _, err := r.Wait(t.Context(), job.ID, uid, &log); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(log.told, want) {
			t.Errorf("told %q, want %q", log.told, want)
		}
		delete(k, "token")
	}
}

func TestLargeSecrets(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	k := keep(&cfg)
	k["a"], k["b"] = bytes.Repeat([]byte{0x01}, 8<<10), bytes.Repeat([]byte("b\n"), 50<<10)
	job := shell(t, `echo ${#A} ${#B}`)
	job.Secrets = []runners.Secret{k.env("a", "A"), k.env("b", "B")}
	res, said := end(t, newRunner(t, cfg), job)
	wantResult(t, res, runners.Succeeded, 0, "")
	if !strings.Contains(said, "8192 102400\n") {
		t.Errorf("got %q, want both values whole", said)
	}
	k["b"] = bytes.Repeat([]byte("b"), 300<<10)
	job.ID = shell(t, "").ID
	if _, err := newRunner(t, cfg).Start(t.Context(), job); !errors.Is(err, runners.ErrRefused) {
		t.Errorf("300 KiB: got error %v, want %v", err, runners.ErrRefused)
	}
}

// TestRefusedHere asks for what a process of this machine cannot be given.
func TestRefusedHere(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	k := keep(&cfg)
	k["token"], k["short"], k["nul"] = []byte("long enough"), []byte("abc\n"), []byte("abc\x00def")
	blind := cfg
	blind.Read = nil
	asEnv, cluster := func(s runners.Secret) runners.Secret { s.Env = "TOKEN"; return s }, k.env("token", "TOKEN")
	cluster.From = runners.Keeper{Kubernetes: "ci/deploy"}
	files, key := k.secret("token"), k.secret("")
	files.Path = "/home/app/.ssh"
	for _, c := range []struct {
		cfg  local.Config
		job  func(*runners.Job)
		want string
	}{
		{cfg, func(j *runners.Job) { j.Secrets = []runners.Secret{cluster} }, "secret deploy is kept in a cluster: this needs a runner of kind kube"},
		{cfg, func(j *runners.Job) { j.Secrets = []runners.Secret{files} }, "secret deploy is to be files in /home/app/.ssh: this needs a runner of kind kube"},
		{cfg, func(j *runners.Job) { j.Files = map[string][]byte{"/kaniko/x": nil} }, "files at fixed places of its own container: this needs a runner of kind kube"},
		{cfg, func(j *runners.Job) {
			j.Source = runners.Source{URL: "ssh://git@h/x", Commit: strings.Repeat("a", 40), Key: &key}
		}, "cloned with the key of secret deploy: this needs a runner of kind kube"},
		{cfg, func(j *runners.Job) { j.Secrets = []runners.Secret{asEnv(k.secret("other"))} }, "secret deploy has no entry other"},
		{cfg, func(j *runners.Job) { j.Secrets = []runners.Secret{asEnv(k.secret("short"))} }, "shorter than 4 bytes"},
		{cfg, func(j *runners.Job) { j.Secrets = []runners.Secret{asEnv(k.secret("nul"))} }, "holds a NUL byte"},
		{blind, func(j *runners.Job) { j.Secrets = []runners.Secret{asEnv(k.secret("token"))} }, "this runner reads no secrets"},
	} {
		job := shell(t, "true")
		c.job(&job)
		uid, err := newRunner(t, c.cfg).Start(t.Context(), job)
		if !errors.Is(err, runners.ErrRefused) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "refused") {
			t.Errorf("got uid %q and error %v, want one that says %q", uid, err, c.want)
		}
	}
}

// TestSecretsCannotBeRead: weather is no refusal.
func TestSecretsCannotBeRead(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Read = func(runners.Keeper) (map[string][]byte, error) { return nil, errors.New("disk on fire") }
	job := shell(t, "true")
	job.Secrets = []runners.Secret{kept{}.env("token", "TOKEN")}
	_, err := newRunner(t, cfg).Start(t.Context(), job)
	if err == nil || errors.Is(err, runners.ErrRefused) || !strings.Contains(err.Error(), "read secret deploy: disk on fire") {
		t.Errorf("got error %v, want one that names the secret and is no refusal", err)
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	k := keep(&cfg)
	cfg.Env = map[string]string{"GOPROXY": "off"}
	r := newRunner(t, cfg)
	job := shell(t, "echo $GREETING\nexit 3\n")
	job.ID, job.Image, job.Env, job.Timeout = "x", "golang:1.26", map[string]string{"GREETING": "hi"}, 5e9
	job.Secrets = []runners.Secret{k.env("token", "TOKEN")}
	job.Source = runners.Source{URL: "https://example.com/a.git", Username: "u", Password: "never", Commit: strings.Repeat("a", 40)}
	got, err := r.Render(job)
	if err != nil {
		t.Fatal(err)
	}
	want := `runner: local
job: x
source:
  url: https://example.com/a.git
  commit: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
command:
  - /bin/sh
  - -c
  - |
    echo $GREETING
    exit 3
env:
  GOPROXY: "off"
  GREETING: hi
secrets:
  TOKEN: deploy/token
timeout: 5s
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, "x")); err == nil {
		t.Error("rendering made a folder")
	}
	job.Files = map[string][]byte{"/x": nil}
	if _, err := r.Render(job); !errors.Is(err, runners.ErrRefused) {
		t.Errorf("got error %v, want %v", err, runners.ErrRefused)
	}
}

// TestSecretsTooLarge refuses at once what could not be hidden in all its forms.
func TestSecretsTooLarge(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	k := keep(&cfg)
	for i := 0; len(k["a"]) < 250<<10; i++ {
		k["a"] = fmt.Appendf(k["a"], "é<>&'+%dé<>&'+\n", i)
	}
	job := shell(t, "true")
	job.Secrets = []runners.Secret{k.env("a", "A")}
	if _, err := newRunner(t, cfg).Start(t.Context(), job); !errors.Is(err, runners.ErrRefused) || !strings.Contains(err.Error(), "too large to be hidden") {
		t.Errorf("got error %v, want %v", err, runners.ErrRefused)
	}
}
