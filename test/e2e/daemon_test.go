//go:build lab

package e2e_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// daemon is one life of `millrace serve`.
type daemon struct {
	cmd   *exec.Cmd
	ended chan struct{}
	log   *buffer
}

// serve starts millrace in dir, where its millrace.yaml is. What it wrote is shown if the test fails.
func serve(t testing.TB, dir string) *daemon {
	t.Helper()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{cmd: exec.Command(program, "serve", "-c", filepath.Join(dir, "millrace.yaml")), ended: make(chan struct{}), log: &buffer{}}
	d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = dir, d.log, d.log
	d.cmd.Env = append(os.Environ(), "KUBECONFIG=")
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.ended)
		_ = d.cmd.Wait() // Its exit code is asked for.
	}()
	t.Cleanup(func() {
		d.end(t, syscall.SIGKILL)
		if t.Failed() {
			t.Logf("millrace, process %d, wrote:\n%s", d.cmd.Process.Pid, d.log)
		}
	})
	return d
}

// end sends a signal, waits for the end, and returns the exit code; -1 if a signal ended it.
func (d *daemon) end(t testing.TB, s syscall.Signal) int {
	t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	select {
	case <-d.ended:
	case <-time.After(time.Minute):
		t.Fatalf("millrace does not end after %v", s)
	}
	return d.cmd.ProcessState.ExitCode()
}

// poll asks until done. It is for what nothing signals.
func poll(t testing.TB, limit time.Duration, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(limit)
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not after %v: %s", limit, what)
		}
	}
}

// pass lets time pass: how long something is away is what a test says, and nothing signals its end.
func pass(d time.Duration) { <-time.After(d) }
