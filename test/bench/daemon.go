package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// buildDaemon builds millrace as it is released, and returns where it is. The caller removes its folder.
func buildDaemon(ctx context.Context) (string, error) {
	dir, err := os.MkdirTemp("", "bench-daemon")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "millrace")
	build := exec.CommandContext(ctx, "go", "build", "-C", "../..", "-trimpath", "-o", binary, "./cmd/millrace")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build millrace: %w: %s", err, said), os.RemoveAll(dir))
	}
	return binary, nil
}

// daemon is millrace as users start it.
type daemon struct {
	child
	address string
	started time.Time
	ready   time.Duration // from its start to its first answer that it is ready
}

// startDaemon starts a daemon with a forge called hub, and waits until it is ready. redis is its URL, "" for one of its
// own; forge is the forge's address, where its API is below /api/v3 as a GitHub's.
func startDaemon(ctx context.Context, binary, redis, forge string) (*daemon, error) {
	dir, err := os.MkdirTemp(filepath.Dir(binary), "data")
	if err != nil {
		return nil, err
	}
	d := &daemon{}
	if d.address, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("server: {listen: %q}\ndata: %q\nredis: {url: %q}\nforges:\n- {name: hub, kind: github, url: %q, token: a token, webhook_secrets: [%q]}\n",
		d.address, dir, redis, forge+"/api/v3", hookSecret)
	file := filepath.Join(dir, "millrace.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		return nil, err
	}
	defer said.Close()
	d.cmd = exec.CommandContext(ctx, binary, "serve", "-c", file)
	d.cmd.Stdout, d.cmd.Stderr, d.cmd.SysProcAttr = said, said, ownGroup()
	d.started = time.Now()
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	if err := d.await(ctx); err != nil {
		d.kill()
		text, _ := os.ReadFile(said.Name())
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	return d, nil
}

// await waits until the daemon is ready.
func (d *daemon) await(ctx context.Context) error {
	for time.Since(d.started) < time.Minute {
		if _, err := d.get(ctx, "/readyz"); err == nil {
			d.ready = time.Since(d.started)
			return nil
		}
		<-time.After(2 * time.Millisecond)
	}
	return errors.Join(errors.New("millrace is not ready after a minute"), ctx.Err())
}

// get returns what the daemon answers to GET path, if it answers 200.
func (d *daemon) get(ctx context.Context, path string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.address+path, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", path, answer.Status)
	}
	return string(text), err
}

// ask asks the daemon to end.
func (d *daemon) ask() error { return d.cmd.Process.Signal(syscall.SIGTERM) }

// end asks the daemon to end, and waits until it has, which ends a redis-server of its own too.
func (d *daemon) end() {
	if d.ask() != nil {
		d.kill()
		return
	}
	defer time.AfterFunc(time.Minute, func() { _ = d.cmd.Process.Kill() }).Stop()
	_ = d.cmd.Wait() // Its code is nobody's business here.
}

// own is the redis-server of the daemon's own: its only child, where it runs no jobs.
func (d *daemon) own() (int, error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", d.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	pid := 0
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err == nil && strings.TrimSpace(string(text)) != "" {
			_, err = fmt.Sscan(string(text), &pid)
		}
		if err != nil {
			return 0, err
		}
	}
	if pid == 0 {
		return 0, errors.New("millrace has no redis-server of its own: is there one on PATH?")
	}
	return pid, nil
}

// freeAddress is one on which nobody listens.
func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// nowhere is the address of a forge that is not there.
const nowhere = "http://127.0.0.1:9"
