package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// server is a redis-server with an append-only file, in a folder of its own.
type server struct {
	socket string
	dir    string
	cmd    *exec.Cmd
	admin  *redis.Client // whose calls nobody counts
}

// startServer starts one that writes its file to the disk as fsync says.
func startServer(ctx context.Context, fsync string) (*server, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, socket: filepath.Join(dir, "s")}
	s.cmd = exec.Command("redis-server", "--port", "0", "--unixsocket", s.socket, "--dir", dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", fsync, "--maxmemory-policy", "noeviction")
	s.cmd.SysProcAttr = ownGroup() // an interrupt of ours is not its own
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start redis-server: %w", err), os.RemoveAll(dir))
	}
	s.admin = s.client(nil)
	for s.admin.Ping(ctx).Err() != nil {
		if ctx.Err() != nil {
			s.stop()
			return nil, ctx.Err()
		}
		<-time.After(10 * time.Millisecond)
	}
	return s, nil
}

// stop ends the server and removes what it kept.
func (s *server) stop() {
	_ = s.admin.Close()
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // killed, as we want it
	_ = os.RemoveAll(s.dir)
}

// client is a client of the server; calls, unless nil, counts what it sends.
func (s *server) client(calls *counter) *redis.Client {
	c := redis.NewClient(clientOptions(s.socket))
	if calls != nil {
		c.AddHook(calls)
	}
	return c
}

func clientOptions(socket string) *redis.Options {
	return &redis.Options{
		Network: "unix", Addr: socket, PoolSize: 40,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// empty forgets everything, and begins to count anew.
func (s *server) empty(ctx context.Context) error {
	return s.admin.FlushAll(ctx).Err()
}

// hurry lets fill be done without waiting for the disk.
func (s *server) hurry(ctx context.Context, fsync string, fill func() error) error {
	if err := s.admin.ConfigSet(ctx, "appendfsync", "no").Err(); err != nil {
		return err
	}
	return errors.Join(fill(), s.admin.ConfigSet(ctx, "appendfsync", fsync).Err(), s.admin.ConfigResetStat(ctx).Err())
}

// scripts is how many scripts the server ran since it was emptied.
func (s *server) scripts(ctx context.Context) (int, error) {
	info, err := s.admin.InfoMap(ctx, "commandstats").Result()
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, name := range []string{"cmdstat_evalsha", "cmdstat_eval"} {
		n := 0
		if stat, ok := strings.CutPrefix(info["Commandstats"][name], "calls="); ok {
			if _, err := fmt.Sscanf(stat, "%d,", &n); err != nil {
				return 0, fmt.Errorf("%s: %w", name, err)
			}
		}
		sum += n
	}
	return sum, nil
}

// commands is how many commands the server was sent, this one not counted.
func (s *server) commands(ctx context.Context) (int, error) {
	info, err := s.admin.InfoMap(ctx, "stats").Result()
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(info["Stats"]["total_commands_processed"])
}

// cpu is how long the server has computed.
func (s *server) cpu(ctx context.Context) (time.Duration, error) {
	info, err := s.admin.InfoMap(ctx, "cpu").Result()
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, name := range []string{"used_cpu_sys", "used_cpu_user"} {
		seconds, err := strconv.ParseFloat(info["CPU"][name], 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		sum += seconds
	}
	return time.Duration(sum * float64(time.Second)), nil
}

// counter counts the calls of a client, those in a pipeline one by one.
type counter struct{ n atomic.Int64 }

// DialHook is redis.Hook's.
func (c *counter) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook is redis.Hook's.
func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook is redis.Hook's.
func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.n.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}
