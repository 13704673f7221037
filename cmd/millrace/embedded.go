package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// embeddedRedis is a redis-server of our own, with its files in the data folder.
type embeddedRedis struct {
	socket string
	log    string // its output
	short  string // folder of the socket where the data folder's path is too long for one
	cmd    *exec.Cmd
	ended  chan struct{}
}

// startEmbedded starts a redis-server that appends every write to a file in dir, at once (appendfsync always), and
// listens on a Unix socket only.
func startEmbedded(binary, dir string) (*embeddedRedis, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	r := &embeddedRedis{log: filepath.Join(dir, "redis.log"), ended: make(chan struct{})}
	if err := r.place(dir); err != nil {
		return nil, err
	}
	out, err := os.OpenFile(r.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	//nolint:gosec // G702: the operator's PATH and data folder, as argv and never as a shell line.
	r.cmd = exec.CommandContext(context.Background(), binary, "--port", "0", "--unixsocket", r.socket, "--unixsocketperm", "700",
		"--dir", dir, "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no")
	r.cmd.Stdout, r.cmd.Stderr = out, out
	r.cmd.SysProcAttr = ownGroup() // signals of the terminal are for us
	started := make(chan error)
	go r.live(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	return r, nil
}

// place chooses the socket's path: in dir, or where that is too long (108 bytes on Linux) in a folder of our own.
func (r *embeddedRedis) place(dir string) error {
	const longest = 100
	if r.socket = filepath.Join(dir, "redis.sock"); len(r.socket) <= longest {
		return nil
	}
	short, err := os.MkdirTemp("", "millrace-")
	r.short, r.socket = short, filepath.Join(short, "redis.sock")
	return err
}

// live starts the server and waits for its end, on a thread of its own: Linux kills the child when the thread that
// started it ends, see ownGroup.
func (r *embeddedRedis) live(started chan<- error) {
	runtime.LockOSThread()
	defer close(r.ended)
	err := r.cmd.Start()
	started <- err
	if err == nil {
		_ = r.cmd.Wait() // how it ended stands in its log
	}
}

// stop asks the server to end and waits until it has.
func (r *embeddedRedis) stop() {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.ended:
	case <-time.After(10 * time.Second):
		_ = r.cmd.Process.Kill()
		<-r.ended
	}
	if r.short != "" {
		_ = os.RemoveAll(r.short)
	}
}
