package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/test/forgekit"
	"github.com/millrace-ci/millrace/test/giteatest"
	"github.com/millrace-ci/millrace/test/gitlabtest"
)

// program is millrace as users start it.
type program struct {
	cmd   *exec.Cmd
	ended chan struct{}
	out   *syncBuffer // both of its outputs
}

// start starts millrace in dir.
func start(t *testing.T, dir string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(millrace(t), args...), ended: make(chan struct{}), out: &syncBuffer{}}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p.out, p.out
	p.cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // its exit code is asked for
	}()
	t.Cleanup(func() { p.end(t, syscall.SIGKILL) })
	return p
}

// end sends a signal, waits for the end, and returns the exit code and how long it took.
func (p *program) end(t *testing.T, s syscall.Signal) (int, time.Duration) {
	t.Helper()
	from := time.Now()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	p.wait(t)
	return p.cmd.ProcessState.ExitCode(), time.Since(from)
}

func (p *program) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		t.Fatalf("it does not end:\n%s", p.out)
	}
}

// await polls until done.
func (p *program) await(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s does not come:\n%s", what, p.out)
		}
	}
}

// says waits until the program prints text.
func (p *program) says(t *testing.T, text string) {
	t.Helper()
	p.await(t, text, func() bool { return strings.Contains(p.out.String(), text) })
}

// site is a folder with a millrace.yaml, its address, and a forge.
type site struct {
	dir, address string
	forge        *giteatest.Server
}

func newSite(t *testing.T, more string) site {
	t.Helper()
	s := site{dir: t.TempDir(), address: ownAddress()}
	forge, err := giteatest.Start(giteatest.Config{Dir: filepath.Join(s.dir, "gitea"), Token: crashToken})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { forge.Close() })
	s.forge = forge
	s.configure(t, forge.URL, more)
	return s
}

// configure writes millrace.yaml.
func (s site) configure(t *testing.T, forge, more string) {
	t.Helper()
	s.write(t, "millrace.yaml", fmt.Sprintf("server: {listen: %q}\nforges: [{name: gitea, kind: gitea, url: %q, token: %q, webhook_secrets: [%q]}]\n%s",
		s.address, forge, crashToken, crashSecret, more))
}

func (s site) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serve starts the daemon and waits until it says that it is ready. Then it must be.
func (s site) serve(t *testing.T) *program {
	t.Helper()
	p := start(t, s.dir, "serve")
	p.says(t, `"msg":"ready"`)
	if got := s.status(t, "/readyz"); got != http.StatusOK {
		t.Errorf("it says ready, and /readyz answers %d", got)
	}
	return p
}

func (s site) status(t *testing.T, path string) int {
	t.Helper()
	res, err := http.Get("http://" + s.address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

// push pushes a pipeline of one task that runs script, and returns the commit.
func (s site) push(t *testing.T, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.forge.CreateRepo("mill", "flour"); err != nil {
		t.Fatal(err)
	}
	s.forge.AddHook("http://"+s.address+"/hooks/gitea", crashSecret)
	return pushTask(ctx, t, s.forge.CloneURL("mill", "flour"), script)
}

// pushTask pushes a pipeline of one task that runs script to the repository at url, and returns the commit.
func pushTask(ctx context.Context, t *testing.T, url, script string) string {
	t.Helper()
	w, err := forgekit.Clone(ctx, url, "main")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	commit, err := w.Commit(ctx, "Grind", map[string]string{".millrace.yaml": fmt.Sprintf(
		"name: build\non: push\nstages: [{name: s, tasks: [{name: t, uses: script@v1, with: {SCRIPT: %q}}]}]\n", script)})
	if err == nil {
		err = w.Push(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	return commit
}

// TestSIGTERM checks that an idle daemon ends at once, with its Redis, and cleanly.
func TestSIGTERM(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	p := s.serve(t)
	code, took := p.end(t, syscall.SIGTERM)
	if code != 0 || took > 5*time.Second { // a second, on a machine that has nothing else to do
		t.Errorf("it ended with %d after %v, want 0 at once:\n%s", code, took, p.out)
	}
	t.Logf("ended after %v", took)
	if _, err := os.Stat(filepath.Join(s.dir, "data", "redis", "redis.sock")); err == nil {
		t.Error("its Redis has left its socket behind")
	}
}

// TestJobsGoOn ends the daemon while a job runs: the job goes on, and the next daemon joins it.
func TestJobsGoOn(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	gate, ledger := filepath.Join(s.dir, "gate"), filepath.Join(s.dir, "ledger")
	first := s.serve(t)
	commit := s.push(t, fmt.Sprintf("echo started >> %s; until test -e %s; do sleep 0.05; done; echo ended >> %[1]s", ledger, gate))
	first.await(t, "the job's first line", func() bool { _, err := os.Stat(ledger); return err == nil })
	first.says(t, "job created")
	if code, took := first.end(t, syscall.SIGTERM); code != 0 || took > 10*time.Second {
		t.Errorf("it ended with %d after %v, want 0 before its job:\n%s", code, took, first.out)
	}
	second := s.serve(t)
	second.says(t, `"joined":true`)
	s.write(t, "gate", "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.forge.Wait(ctx, func() bool {
		told := s.forge.Statuses("mill", "flour", commit)
		return len(told) > 0 && told[0].State == "success"
	}); err != nil {
		t.Fatalf("%v\n%s", err, second.out)
	}
	data, err := os.ReadFile(ledger)
	if diff := cmp.Diff("started\nended\n", string(data)); err != nil || diff != "" {
		t.Errorf("the job ran otherwise than once: %v\n%s", err, diff)
	}
}

// TestGitLab pushes to a GitLab whose hook signs, and to a project in a nested group: its commit becomes green.
func TestGitLab(t *testing.T) {
	t.Parallel()
	const project, signing = "mill/stones/flour", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	s := site{dir: t.TempDir(), address: ownAddress()}
	forge, err := gitlabtest.Start(gitlabtest.Config{Dir: filepath.Join(s.dir, "gitlab"), Token: crashToken})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { forge.Close() })
	s.write(t, "millrace.yaml", fmt.Sprintf("server: {listen: %q}\nforges: [{name: lab, kind: gitlab, url: %q, token: %q, webhook_secrets: [%q]}]\n",
		s.address, forge.URL, crashToken, signing))
	p := s.serve(t)
	if _, err := forge.CreateProject(project); err != nil {
		t.Fatal(err)
	}
	forge.AddHook(gitlabtest.Hook{URL: "http://" + s.address + "/hooks/lab", SigningToken: signing})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	commit := pushTask(ctx, t, forge.CloneURL(project), "true")
	if err := forge.Wait(ctx, func() bool {
		told := forge.Statuses(project, commit)
		return len(told) == 1 && told[0].Name == "millrace/build" && told[0].Ref == "main" && told[0].State == "success"
	}); err != nil {
		t.Fatalf("%v\n%+v\n%s", err, forge.Statuses(project, commit), p.out)
	}
}

// TestEmbeddedRedis kills the daemon with -9: its Redis dies with it, and the next one has what was accepted.
func TestEmbeddedRedis(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	first := s.serve(t)
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: filepath.Join(s.dir, "data", "redis", "redis.sock"), MaxRetries: -1})
	defer rdb.Close()
	commit := s.push(t, "true")
	first.says(t, `"state":"succeeded"`)
	first.end(t, syscall.SIGKILL)
	first.await(t, "the end of its Redis", func() bool { return rdb.Ping(t.Context()).Err() != nil })
	second := s.serve(t)
	var runs struct {
		Items []struct{ Commit, State string }
	}
	if err := (&client{server: "http://" + s.address}).getJSON(t.Context(), "/api/v1/runs", &runs); err != nil {
		t.Fatal(err)
	}
	if len(runs.Items) != 1 || runs.Items[0].Commit != commit || runs.Items[0].State != "succeeded" {
		t.Errorf("got %+v, want the run of %s\n%s", runs, commit, second.out)
	}
}

// TestEmbeddedRedisEnds checks that a daemon whose own Redis has ended does not go on without it.
func TestEmbeddedRedisEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t, "shutdown_grace: 1s")
	p := s.serve(t)
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: filepath.Join(s.dir, "data", "redis", "redis.sock"), MaxRetries: -1})
	defer rdb.Close()
	rdb.ShutdownNoSave(t.Context())
	p.wait(t)
	if code := p.cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(p.out.String(), "the embedded redis has ended: its log is ") {
		t.Errorf("got exit code %d\n%s", code, p.out)
	}
}

// TestLongDataPath checks that a Redis of our own works where the socket's path would be too long, and leaves nothing.
func TestLongDataPath(t *testing.T) {
	t.Parallel()
	s := newSite(t, "data: "+strings.Repeat("long/", 30))
	p := s.serve(t)
	if code, _ := p.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("got exit code %d\n%s", code, p.out)
	}
	if left, err := filepath.Glob(filepath.Join(s.dir, "millrace-*")); len(left) > 0 || err != nil {
		t.Errorf("it leaves %v, %v", left, err)
	}
}

// TestNoRedis checks what serve says where there is no redis-server to start.
func TestNoRedis(t *testing.T) {
	s := newSite(t, "")
	t.Setenv("PATH", filepath.Dir(millrace(t)))
	p := s.serve(t)
	if !strings.Contains(p.out.String(), `"level":"WARN","msg":"no redis-server on PATH and no redis.url: everything is kept in memory and FORGOTTEN`) {
		t.Errorf("it does not say that it forgets:\n%s", p.out)
	}
}

// TestRefusedRedis checks that serve does not start on a Redis that it cannot rely on, and says why.
func TestRefusedRedis(t *testing.T) {
	t.Parallel()
	notRedis := filepath.Join(t.TempDir(), "redis.sock")
	evicts := redistest.Start(t)
	if err := evicts.Client().ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ url, want string }{
		"evicts":      {evicts.URL(), "its maxmemory-policy is allkeys-lru, so it would throw away what it accepted: set noeviction"},
		"unreachable": {"unix://" + notRedis, "redis at " + notRedis + " (redis.url): it does not answer: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, fmt.Sprintf("redis: {url: %q}", test.url))
			p := start(t, s.dir, "serve")
			p.wait(t)
			if code := p.cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(p.out.String(), test.want) {
				t.Errorf("got exit code %d\n%s\nwant %d and %q", code, p.out, exitFailed, test.want)
			}
		})
	}
}

// TestExecInterrupted sends an interrupt to exec: the task's process group ends, nothing is left, and it says so.
func TestExecInterrupted(t *testing.T) {
	t.Parallel()
	s := site{dir: t.TempDir()}
	s.write(t, ".millrace.yaml", "name: build\non: push\nstages: [{name: s, tasks: [{name: t, uses: script@v1, with: {SCRIPT: 'sleep 300 & echo child $!; wait'}}]}]\n")
	p := start(t, s.dir, "exec")
	p.says(t, "t | child ") // lines come as they are written
	code, took := p.end(t, syscall.SIGINT)
	if code != exitFailed || took > stopGrace || !strings.Contains(p.out.String(), "build: canceled") {
		t.Errorf("it ended with %d after %v\n%s", code, took, p.out)
	}
	var child int
	_, after, _ := strings.Cut(p.out.String(), "child ")
	if _, err := fmt.Sscan(after, &child); err != nil {
		t.Fatal(err)
	}
	p.await(t, "the child's end", func() bool { return gone(child) })
	if left, err := filepath.Glob(filepath.Join(s.dir, "millrace-*")); len(left) > 0 || err != nil {
		t.Errorf("it leaves %v, %v", left, err)
	}
}

// gone tells whether a process has ended: also one that nobody has asked about yet.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}
