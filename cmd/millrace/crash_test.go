package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/test/forgekit"
	"github.com/millrace-ci/millrace/test/giteatest"
)

// The steps of the demo's path, as the daemon logs them. The agent is killed right after each.
var steps = []string{
	"log:1:ready", "log:1:delivery answered", "log:1:definitions read", "log:1:run created", "log:1:attempt queued",
	"log:1:attempt started", "log:2:attempt started", "log:1:job created", "log:2:job created", "log:1:attempt ended",
	"log:3:attempt started", "log:3:job created", "log:1:run ended", "log:1:status told", "log:2:status told",
}

// TestKilledAfterEachStep kills the agent with -9 between any two steps, and starts another: the run ends right, and
// the side effect of each task has happened once.
func TestKilledAfterEachStep(t *testing.T) {
	t.Parallel()
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			newCrash(t).survive(t, step)
		})
	}
}

// TestKilledAtCalls kills the agent just before and just after its calls to Redis: at some of them, or at all with
// MILLRACE_CRASH_POINTS=all.
func TestKilledAtCalls(t *testing.T) {
	t.Parallel()
	const some = 13
	every := some
	if os.Getenv("MILLRACE_CRASH_POINTS") == "all" {
		every = 1
	}
	for n := 2; n < pathCalls; n += every {
		for _, when := range []string{"before", "after"} {
			t.Run(fmt.Sprintf("%s/%d", when, n), func(t *testing.T) {
				t.Parallel()
				newCrash(t).survive(t, fmt.Sprintf("%s:%d", when, n))
			})
		}
	}
}

// pathCalls is about how many calls to Redis the path makes; TestCrashPoints watches over it.
const pathCalls = 190

// together bounds how many crashes are tried at a time: each is a Redis, a git server and an agent.
var together = make(chan struct{}, 4)

const crashSecret, crashToken = "s3cret", "t0ken"

// crash is a world that outlives the agent: a forge, a Redis, a data folder, and a ledger of side effects.
type crash struct {
	forge   *giteatest.Server
	address string
	config  string
	ledger  string
	env     []string // more of the agent's environment
}

func newCrash(t *testing.T) *crash {
	t.Helper()
	together <- struct{}{}
	t.Cleanup(func() { <-together })
	dir := t.TempDir()
	forge, err := giteatest.Start(giteatest.Config{Dir: filepath.Join(dir, "gitea"), Token: crashToken})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { forge.Close() })
	c := &crash{forge: forge, address: ownAddress(), config: filepath.Join(dir, "millrace.yaml"), ledger: filepath.Join(dir, "ledger")}
	text := fmt.Sprintf(`
server: {listen: %q}
redis: {url: %q}
data: %q
forges: [{name: gitea, kind: gitea, url: %q, token: %q, webhook_secrets: [%q]}]
`, c.address, redistest.Start(t).URL(), filepath.Join(dir, "data"), forge.URL, crashToken, crashSecret)
	if err := os.WriteFile(c.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// survive pushes to an agent that is doomed, starts another, and checks what must be.
func (c *crash) survive(t *testing.T, doom string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	first := c.agent(t, doom)
	first.ready(ctx)
	commit := c.push(ctx, t)
	first.await(ctx, c.green(commit)) // or its end
	first.kill()

	second := c.agent(t, "never")
	defer second.kill()
	second.ready(ctx)
	c.redeliver(ctx, t, second)
	if err := c.forge.Wait(ctx, func() bool { return c.green(commit)() }); err != nil {
		t.Fatalf("the commit is not green: %v\nstatuses %+v\nfirst agent:\n%s\nsecond agent:\n%s", err, c.forge.Statuses("mill", "flour", commit), first.log.String(), second.log.String())
	}
	c.check(ctx, t, second)
}

// check looks at the ledger, the runs, and what is left to be done.
func (c *crash) check(ctx context.Context, t *testing.T, a *agentProcess) {
	t.Helper()
	data, err := os.ReadFile(c.ledger)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(data))
	slices.Sort(got)
	if diff := cmp.Diff([]string{"image", "lint", "unit"}, got); diff != "" {
		t.Errorf("side effects (-want +got):\n%s\n%s", diff, a.log.String())
	}
	cl := client{server: "http://" + c.address}
	var runs struct{ Items []struct{ State string } }
	if err := cl.getJSON(ctx, "/api/v1/runs", &runs); err != nil {
		t.Fatal(err)
	}
	if len(runs.Items) != 1 || runs.Items[0].State != "succeeded" {
		t.Errorf("runs: %+v, want one that succeeded", runs.Items)
	}
	// The run may be green before the delivery is settled: what was being planned is planned again after a lease's time.
	state := ""
	a.await(ctx, func() bool {
		var deliveries struct {
			Items []struct{ Kind, State string }
		}
		if err := cl.getJSON(ctx, "/api/v1/deliveries", &deliveries); err != nil {
			return false
		}
		for _, d := range deliveries.Items {
			if d.Kind == "push" {
				state = d.State
			}
		}
		return state == "planned"
	})
	if state != "planned" {
		t.Errorf("the push is %s, want planned\n%s", state, a.log.String())
	}
}

// green tells whether the commit's newest status is success.
func (c *crash) green(commit string) func() bool {
	return func() bool {
		s := c.forge.Statuses("mill", "flour", commit)
		return len(s) > 0 && s[0].State == "success"
	}
}

func (c *crash) push(ctx context.Context, t *testing.T) string {
	t.Helper()
	if err := c.forge.CreateRepo("mill", "flour"); err != nil {
		t.Fatal(err)
	}
	c.forge.AddHook("http://"+c.address+"/hooks/gitea", crashSecret)
	w, err := forgekit.Clone(ctx, c.forge.CloneURL("mill", "flour"), "main")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	task := func(name string) string {
		return fmt.Sprintf("{name: %s, uses: script@v1, with: {SCRIPT: 'echo %s >> %s'}}", name, name, c.ledger)
	}
	commit, err := w.Commit(ctx, "Grind", map[string]string{".millrace.yaml": fmt.Sprintf(
		"name: build\non: {push: {}}\nstages:\n  - {name: check, parallel: true, tasks: [%s, %s]}\n  - {name: build, tasks: [%s]}\n",
		task("unit"), task("lint"), task("image"))})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Push(ctx); err != nil {
		t.Fatal(err)
	}
	return commit
}

// redeliver sends every delivery once more, as a person presses the forge's button or the forge's owner is asked to:
// what was accepted is a duplicate, what was cut off by the kill is new.
func (c *crash) redeliver(ctx context.Context, t *testing.T, a *agentProcess) {
	t.Helper()
	sent := func() bool { return len(c.forge.Deliveries()) >= 2 } // create and push
	if err := c.forge.Wait(ctx, sent); err != nil {
		t.Fatal(err)
	}
	for _, d := range c.forge.Deliveries() {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(d.Body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = d.Header.Clone()
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%v\n%s", err, a.log.String())
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		// What a slow Redis sends to the spool is found to be a duplicate when it is handed on.
		known := bytes.Contains(body, []byte("duplicate")) || strings.Contains(a.log.String(), "deliveries go to the spool")
		if res.StatusCode != http.StatusAccepted || d.Status == http.StatusAccepted && d.Event == "push" && !known {
			t.Errorf("%s again: %d %s; it was answered %d before", d.Event, res.StatusCode, body, d.Status)
		}
	}
}

// agentProcess is a running agent.
type agentProcess struct {
	cmd   *exec.Cmd
	ended chan struct{}
	log   *syncBuffer
	url   string
}

func (c *crash) agent(t *testing.T, doom string) *agentProcess {
	t.Helper()
	a := &agentProcess{cmd: exec.Command(os.Args[0], c.config), ended: make(chan struct{}), log: &syncBuffer{}, url: "http://" + c.address}
	a.cmd.Env = append(append(os.Environ(), "MILLRACE_TEST_DOOMED="+doom), c.env...)
	a.cmd.Dir = filepath.Dir(c.config)
	a.cmd.Stderr = a.log
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(a.ended)
		_ = a.cmd.Wait() // killed is what it is to be
	}()
	t.Cleanup(a.kill)
	return a
}

// ready waits until the agent is ready, or has ended.
func (a *agentProcess) ready(ctx context.Context) {
	a.await(ctx, func() bool {
		res, err := http.Get(a.url + "/readyz")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// await polls until done, the agent's end, or ctx's.
func (a *agentProcess) await(ctx context.Context, done func() bool) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-a.ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (a *agentProcess) kill() {
	if err := a.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		panic(err)
	}
	<-a.ended
}

// TestCrashPoints checks that the calls at which TestKilledAtCalls kills are those of the whole path.
func TestCrashPoints(t *testing.T) {
	t.Parallel()
	c := newCrash(t)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	a := c.agent(t, "never")
	a.ready(ctx)
	commit := c.push(ctx, t)
	if err := c.forge.Wait(ctx, c.green(commit)); err != nil {
		t.Fatalf("%v\n%s", err, a.log.String())
	}
	a.await(ctx, func() bool { return strings.Contains(a.log.String(), `"state":"succeeded","forge"`) })
	found := regexp.MustCompile(`calls (\d+)`).FindAllStringSubmatch(a.log.String(), -1)
	if len(found) == 0 {
		t.Fatal(a.log.String())
	}
	calls, err := strconv.Atoi(found[len(found)-1][1])
	if err != nil || calls < pathCalls/2 || calls > pathCalls*3/2 {
		t.Errorf("the path makes %d calls to Redis, and TestKilledAtCalls kills at up to %d of them: mend pathCalls", calls, pathCalls)
	}
}

// ownAddress is an address of the loopback that nobody else uses: a port that is free now may be taken, by any
// connection, while the agent that had it is dead.
func ownAddress() string {
	return fmt.Sprintf("127.%d.%d.%d:8080", 1+rand.N(250), rand.N(250), 1+rand.N(250))
}

// syncBuffer is a buffer that a process writes and a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
