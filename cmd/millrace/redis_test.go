package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/cmd/millrace/config"
	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/triggers"
)

// TestWhatRedisLoses checks that an operator is warned of a Redis that keeps nothing, or not everything, and is left
// alone with one that does.
func TestWhatRedisLoses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"nothing on disk": {nil, "it keeps nothing on disk: a restart of it loses everything: set appendonly yes"},
		"snapshots":       {[]string{"--save", "3600 1"}, "it writes snapshots only: a restart of it loses what came after the last one: set appendonly yes"},
		"not synced": {
			[]string{"--appendonly", "yes", "--appendfsync", "no"},
			"it leaves it to the system when to write: a failure of its machine loses about half a minute: set appendfsync everysec or always",
		},
		"every second": {[]string{"--appendonly", "yes", "--appendfsync", "everysec"}, ""},
		"always":       {[]string{"--appendonly", "yes", "--appendfsync", "always"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := said{}
			if test.want != "" {
				want = said{"WARN", "redis can LOSE what was accepted", test.want}
			}
			if diff := cmp.Diff(want, saidOf(t, redistest.Start(t, test.args...))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestUnreadableSettings checks that a Redis that does not let its settings be read is taken, and that this is said.
func TestUnreadableSettings(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	if err := server.Client().Do(t.Context(), "ACL", "SETUSER", "default", "-config").Err(); err != nil {
		t.Fatal(err)
	}
	want := said{Level: "INFO", Msg: "redis does not show its settings: make sure that it has appendonly yes and maxmemory-policy noeviction"}
	if got := saidOf(t, server); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// said is a line of the log.
type said struct{ Level, Msg, Loss string }

// saidOf connects as serve does and returns what the log says of the server, nothing if it says nothing.
func saidOf(t *testing.T, s *redistest.Server) (line said) {
	t.Helper()
	var out bytes.Buffer
	rdb, err := checkedRedis(t.Context(), s.Options(), nil, slog.New(slog.NewJSONHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := rdb.Close(); err != nil {
		t.Error(err)
	}
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &line); err != nil { // also for two lines
			t.Fatalf("%v\n%s", err, out.String())
		}
	}
	return line
}

// TestPasswordIsHidden checks that no mistake in redis.url shows any part of its password.
func TestPasswordIsHidden(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"redis://:hush%crhush@localhost:6379", "redis://:hush/hush@localhost", "redis://:12/hush@localhost", "redis://:hu sh@localhost",
		"hush:hush@localhost:6379", "redis://:hush@localhost:port", "redis://:hush#hush@localhost", "redis://:hush@local host", "redis://:12/0?hush@localhost",
	} {
		_, err := redisOptions(triggers.Secret(url))
		if err == nil || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "%cr") || !strings.HasPrefix(err.Error(), "redis.url: cannot be read: write redis://") {
			t.Errorf("%s: got %v", url, err)
		}
	}
}

// TestConnections checks that a pool has room for all that wait, and that an operator may want more.
func TestConnections(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes")
	base := 10*runtime.GOMAXPROCS(0) + 4 + 4
	for query, want := range map[string]int{"": base + 2, "?pool_size=1": base + 2, "?pool_size=1000": 1000} {
		c := &config.Config{Redis: config.Redis{URL: triggers.Secret(server.URL() + query)}, Runners: make([]config.Runner, 2)}
		conn, err := connectRedis(t.Context(), c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.rdb.Options().PoolSize; got != want {
			t.Errorf("%q: got %d connections, want %d", query, got, want)
		}
		conn.close()
	}
}

// TestManyRunners checks that an agent of one core does not wait with all its connections.
func TestManyRunners(t *testing.T) {
	t.Setenv("GOMAXPROCS", "1")
	var runners strings.Builder
	for i := range 12 {
		fmt.Fprintf(&runners, "  - {name: r%d, kind: local, capacity: 1}\n", i)
	}
	s := newSite(t, "default_runner: r0\nrunners:\n"+runners.String())
	p := s.serve(t)
	s.push(t, "true")
	p.says(t, `"state":"succeeded"`)
	if strings.Contains(p.out.String(), "pool timeout") {
		t.Errorf("it has too few connections:\n%s", p.out)
	}
}

// TestSilentRedis checks that a call to a Redis that does not answer ends at its deadline.
func TestSilentRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb, err := checkedRedis(t.Context(), server.Options(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	if err := syscall.Kill(processOf(t, server), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	from := time.Now()
	if err := rdb.Ping(ctx).Err(); err == nil || time.Since(from) > 2*time.Second { // go-redis itself gives it three
		t.Errorf("got %v after %v", err, time.Since(from))
	}
}

// TestRedisGone takes Redis away from a daemon that runs a job: its log stays JSON, and a SIGTERM ends it in the time
// that it has for that.
func TestRedisGone(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "silent": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, "--appendonly", "yes")
			pid := processOf(t, server)
			s := newSite(t, fmt.Sprintf("redis: {url: %q}", server.URL()))
			p := s.serve(t)
			s.push(t, fmt.Sprintf("until test -e %s; do sleep 0.05; done", filepath.Join(s.dir, "gate")))
			t.Cleanup(func() { s.write(t, "gate", "") })
			p.says(t, "job created")
			if err := syscall.Kill(pid, signal); err != nil {
				t.Fatal(err)
			}
			p.says(t, `"msg":"lease failed"`)
			code, took := p.end(t, syscall.SIGTERM)
			t.Logf("ended after %v", took)
			if grace := config.Default().ShutdownGrace; code != 0 || took > grace {
				t.Errorf("it ended with %d after %v\n%s", code, took, p.out)
			}
			for line := range strings.Lines(p.out.String()) {
				if !json.Valid([]byte(line)) {
					t.Errorf("its log has %q", line)
				}
			}
		})
	}
}

// processOf asks a server for its process id.
func processOf(t *testing.T, s *redistest.Server) int {
	t.Helper()
	info, err := s.Client().InfoMap(t.Context(), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(info["Server"]["process_id"])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
