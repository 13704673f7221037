// Package redistest gives a test a real redis-server of its own. Tests of every package that speaks to Redis call it;
// it calls the redis-server of this machine. It never fakes Redis and never skips: without the program the test fails.
package redistest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// startLimit is how long a server may take until it accepts connections: ~10 ms as a rule, more under load.
const startLimit = 30 * time.Second

// maxSocketPath is the length of sun_path on macOS, the shortest of the systems we know (108 on Linux).
const maxSocketPath = 104

// Server is a redis-server that ends with its test, or with the test's process, whatever comes first.
type Server struct {
	Addr string // path of its unix socket; it listens on no TCP port

	t       testing.TB
	args    []string
	process *process
}

// Start starts a redis-server and waits until it accepts connections. It keeps nothing on disk unless args say so:
// they are added to the command line, such as "--appendonly", "yes", "--appendfsync", "always". It fails t when the
// server cannot start. Tests that run in parallel start one each.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	dir := socketDir(t)
	s := &Server{t: t, Addr: filepath.Join(dir, "s")}
	s.args = append([]string{"--port", "0", "--unixsocket", s.Addr, "--dir", dir, "--save", "", "--appendonly", "no"}, args...)
	t.Cleanup(func() {
		s.Kill()
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("redistest: remove the server's folder: %v", err)
		}
	})
	s.start()
	return s
}

// Client returns a new client of the server, closed when the test ends.
func (s *Server) Client() *redis.Client {
	s.t.Helper()
	c := redis.NewClient(s.Options())
	s.t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			s.t.Errorf("redistest: close client: %v", err)
		}
	})
	return c
}

// Options returns what a client of the server needs, for tests that want a client of their own kind.
func (s *Server) Options() *redis.Options {
	return &redis.Options{
		Network: "unix",
		Addr:    s.Addr,
		// Only Redis Enterprise has these notifications; go-redis leaks a goroutine per client that asks for them.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// URL returns the server's address as redis.ParseURL takes it: unix:///path.
func (s *Server) URL() string { return "unix://" + s.Addr }

// Kill ends the server with SIGKILL, as a crash does, and waits until it is gone. Killing twice is killing once.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	// An error means that it ended by itself, which is what we want.
	_ = s.process.cmd.Process.Kill()
	<-s.process.ended
	s.process = nil
}

// Signal sends a signal to the server, if there is one: SIGSTOP holds it, SIGCONT lets it go on.
func (s *Server) Signal(sig os.Signal) {
	if s.process != nil {
		_ = s.process.cmd.Process.Signal(sig) // It may have ended by itself.
	}
}

// Restart starts the server again after Kill, at the same address with the same arguments and the files it left.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.start()
}

func (s *Server) start() {
	s.t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		s.t.Fatalf("redistest: this test needs a real Redis, and there is no redis-server in PATH; install it: apt-get install redis-server")
	}
	p := &process{cmd: exec.Command(path, s.args...), ready: make(chan struct{}), ended: make(chan struct{})}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		s.t.Fatalf("redistest: start %s: %v", path, err)
	}
	s.process = p
	select {
	case <-p.ready:
	case <-p.ended:
		s.t.Fatalf("redistest: redis-server ended at its start:\n%s", p.output())
	case <-time.After(startLimit):
		s.t.Fatalf("redistest: redis-server accepts no connections after %v:\n%s", startLimit, p.output())
	}
}

// process is one life of a server. It is the writer of its log, and so knows when the server is ready.
type process struct {
	cmd          *exec.Cmd
	ready, ended chan struct{}

	mu   sync.Mutex
	said bool
	log  bytes.Buffer
}

// run starts the server and waits for its end, on a thread that lives as long as the server: the kernel sends the
// death signal when the thread that started it is gone, not when the process is.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.ended)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	dieWithParent(p.cmd)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		// How it ended is of no interest: as a rule we killed it.
		_ = p.cmd.Wait()
	}
}

// Write takes a piece of the server's log.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log.Write(b)
	if !p.said && bytes.Contains(bytes.ToLower(p.log.Bytes()), []byte("ready to accept connections")) {
		p.said = true
		close(p.ready)
	}
	return len(b), nil
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// socketDir makes a folder with a path so short that a socket in it can be named.
func socketDir(t testing.TB) string {
	t.Helper()
	parent := os.TempDir()
	if len(filepath.Join(parent, "redis0123456789", "s")) > maxSocketPath {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "redis")
	if err != nil {
		t.Fatalf("redistest: make the server's folder: %v", err)
	}
	return dir
}
