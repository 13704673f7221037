package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// connectRedis connects to the Redis that is configured or, without one, to a redis-server of our own in the data
// folder. It returns nil when there is none to be had: then everything is kept in memory. close ends what it started.
func connectRedis(ctx context.Context, c *Config, log *slog.Logger) (rdb *redis.Client, closeAll func(), err error) {
	if c.Redis.URL != "" {
		opt, err := redis.ParseURL(c.Redis.URL)
		if err != nil {
			return nil, nil, usage(fmt.Errorf("redis.url: %w", err))
		}
		rdb, err := checkedRedis(ctx, opt)
		if err != nil {
			return nil, nil, fmt.Errorf("redis at %s: %w", opt.Addr, err)
		}
		return rdb, func() { _ = rdb.Close() }, nil
	}
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		log.WarnContext(ctx, "no redis-server on PATH and no redis.url: everything is kept in memory and FORGOTTEN when this process ends")
		return nil, func() {}, nil
	}
	server, err := startRedis(ctx, binary, filepath.Join(c.Data, "redis"))
	if err != nil {
		return nil, nil, fmt.Errorf("embedded redis: %w", err)
	}
	rdb, err = checkedRedis(ctx, &redis.Options{Network: "unix", Addr: server.socket})
	if err != nil {
		server.stop()
		return nil, nil, fmt.Errorf("embedded redis: %w", err)
	}
	log.InfoContext(ctx, "embedded redis started", "data", filepath.Join(c.Data, "redis"))
	return rdb, func() { _ = rdb.Close(); server.stop() }, nil
}

// checkedRedis connects, and refuses a Redis that would forget what it accepted.
func checkedRedis(ctx context.Context, opt *redis.Options) (*redis.Client, error) {
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled} // a hosted service's
	rdb := redis.NewClient(opt)
	var err error
	for range 100 { // a server that loads its data answers LOADING until it has
		if err = rdb.Ping(ctx).Err(); err == nil || ctx.Err() != nil {
			break
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	if err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	policy, err := rdb.ConfigGet(ctx, "maxmemory-policy").Result()
	if err == nil && policy["maxmemory-policy"] != "noeviction" { // where CONFIG is forbidden nobody can tell
		err = fmt.Errorf("its maxmemory-policy is %s, so it would throw away what it accepted: set noeviction", policy["maxmemory-policy"])
		return nil, errors.Join(err, rdb.Close())
	}
	return rdb, nil
}

// redisServer is a redis-server of our own.
type redisServer struct {
	socket string
	cmd    *exec.Cmd
	ended  chan struct{}
}

// startRedis starts a redis-server that appends every write to a file in dir, at once (appendfsync always), and
// listens on a Unix socket only.
func startRedis(ctx context.Context, binary, dir string) (*redisServer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	socket, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	logFile, err := os.OpenFile(filepath.Join(dir, "redis.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	s := &redisServer{socket: socket, ended: make(chan struct{})}
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), binary, "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700",
		"--dir", dir, "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no")
	s.cmd.Stdout, s.cmd.Stderr = logFile, logFile
	// Signals of the terminal are for us; and it must not outlive us, because our successor starts its own on these files.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go s.live(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return s, nil
}

// live starts the server and waits for its end, on a thread of its own: Linux sends Pdeathsig when the thread that
// started the child ends.
func (s *redisServer) live(started chan<- error) {
	runtime.LockOSThread()
	defer close(s.ended)
	err := s.cmd.Start()
	started <- err
	if err == nil {
		_ = s.cmd.Wait() // how it ended stands in its log
	}
}

// stop asks the server to end and waits until it has.
func (s *redisServer) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

// socketPath is a path for the socket that is short enough (108 bytes on Linux): in dir, or in a folder of our own.
func socketPath(dir string) (string, error) {
	socket := filepath.Join(dir, "redis.sock")
	if len(socket) < 100 {
		return socket, nil
	}
	short, err := os.MkdirTemp("", "millrace-")
	return filepath.Join(short, "redis.sock"), err
}
