package redistest_test

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/internal/redistest"
)

func TestServerKeepsNothingByDefault(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Client()
	if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	s.Restart()
	if _, err := s.Client().Get(t.Context(), "k").Result(); !errors.Is(err, redis.Nil) {
		t.Errorf("get after a restart: got error %v, want %v", err, redis.Nil)
	}
}

func TestServerKeepsWithAppendOnlyFile(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	if err := s.Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	s.Restart()
	if got, err := s.Client().Get(t.Context(), "k").Result(); got != "v" || err != nil {
		t.Errorf("get after kill -9: got %q, %v, want v", got, err)
	}
}

func TestServersAreApart(t *testing.T) {
	t.Parallel()
	a, b := redistest.Start(t), redistest.Start(t)
	if err := a.Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got := b.Client().DBSize(t.Context()).Val(); got != 0 {
		t.Errorf("keys of the other server: got %d, want 0", got)
	}
}

func TestURL(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	opt, err := redis.ParseURL(s.URL())
	if err != nil || opt.Network != "unix" || opt.Addr != s.Addr {
		t.Errorf("parse %s: got %+v, %v, want the socket %s", s.URL(), opt, err, s.Addr)
	}
}

func TestServerListensOnNoPort(t *testing.T) {
	t.Parallel()
	got, err := redistest.Start(t).Client().ConfigGet(t.Context(), "port").Result()
	if err != nil || got["port"] != "0" {
		t.Errorf("port: got %v, %v, want 0", got, err)
	}
}

// TestServerDiesWithTheTestBinary runs this test again in a process that is killed while its server lives.
func TestServerDiesWithTheTestBinary(t *testing.T) {
	if os.Getenv("REDISTEST_CHILD") != "" {
		dieWithServer(t)
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^TestServerDiesWithTheTestBinary$")
	cmd.Env = append(os.Environ(), "REDISTEST_CHILD=1")
	out, err := cmd.Output()
	if err == nil {
		t.Fatalf("child: got no error, want it killed; it wrote %q", out)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	dir, number, _ := strings.Cut(line, " ")
	pid, err := strconv.Atoi(number)
	if err != nil {
		t.Fatalf("child's server: got %q, want its folder and pid", out)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	// The kernel signals the server when its parent is gone; nothing tells us when that is done.
	for deadline := time.Now().Add(10 * time.Second); alive(pid); {
		if time.Now().After(deadline) {
			t.Fatalf("server %d lives 10 s after its test binary was killed", pid)
		}
		<-time.After(time.Millisecond)
	}
}

// dieWithServer tells where this process's server is, then kills this process.
func dieWithServer(t *testing.T) {
	c := redistest.Start(t).Client()
	info, err := c.InfoMap(t.Context(), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := c.ConfigGet(t.Context(), "dir").Result()
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString(dir["dir"] + " " + info["Server"]["process_id"] + "\n")
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {}
}

// alive says whether a process runs; one that only waits to be buried by its new parent does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
