package local_test

import (
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/local"
	"github.com/millrace-ci/millrace/runners/runnertest"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// TestMain lets this binary play the other processes too: a keeper, and an agent that is killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "_job" {
		os.Exit(local.Keep(os.Args[2]))
	}
	if len(os.Args) == 5 && os.Args[1] == "_start" {
		startAndHang(os.Args[2], os.Args[3], os.Args[4])
	}
	os.Setenv("MILLRACE_TOKEN", leak)
	goleak.VerifyTestMain(m)
}

// leak is a secret of the agent's environment.
const leak = "the-agents-own-secret"

var quiet = slog.New(slog.DiscardHandler)

// config is a runner of its own folder, whose keepers have ended before the folder goes.
func config(t *testing.T) local.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "jobs")
	t.Cleanup(func() { awaitKeepers(t, dir) })
	return local.Config{Dir: dir, Command: []string{self, "_job"}, Log: quiet}
}

// awaitKeepers waits until no job's lock is held.
func awaitKeepers(t *testing.T, dir string) {
	t.Helper()
	locks, _ := filepath.Glob(filepath.Join(dir, "*", "lock"))
	for _, path := range locks {
		eventually(t, "the keeper of "+path+" ends", func() bool { return !locked(t, path) })
	}
}

func locked(t *testing.T, path string) bool {
	t.Helper()
	lock, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	return unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil
}

// eventually polls where nothing signals.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); !is(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("it never was so: %s", what)
		}
	}
}

func newRunner(t *testing.T, cfg local.Config) *local.Runner {
	t.Helper()
	r, err := local.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func shell(t *testing.T, script string) runners.Job {
	t.Helper()
	return runners.Job{
		ID:      runners.JobID(strings.ToLower(rand.Text())[:20], 1, "task"),
		Command: []string{"/bin/sh", "-c", script},
		Grace:   5 * time.Second,
	}
}

func TestLaws(t *testing.T) {
	runnertest.Run(t, func(t *testing.T) runnertest.Kit {
		cfg := config(t)
		kept := keep(&cfg)
		return runnertest.Kit{
			New: func(t *testing.T) runners.Runner { return newRunner(t, cfg) },
			Job: shell,
			Dir: t.TempDir(),
			Secret: func(_ *testing.T, value string) runners.Secret {
				kept["token"] = []byte(value)
				return kept.secret("token")
			},
		}
	})
}
