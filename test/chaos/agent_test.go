//go:build chaos

package chaos_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// agent is one `millrace serve`, which is started again whenever it ends, as a cluster or an init system does.
type agent struct {
	w    *world
	name string
	url  string
	data string
	old  bool // it begins as the previous version

	mu      sync.Mutex
	program string
	file    string        // its configuration
	cmd     *exec.Cmd     // the present life; nil: between two
	rest    time.Duration // before the next life
	over    bool
}

func (w *world) newAgent(i int, address string, old bool) *agent {
	w.t.Helper()
	a := &agent{w: w, name: fmt.Sprintf("agent %d", i), url: "http://" + address, data: filepath.Join(w.dir, fmt.Sprintf("data%d", i)), old: old}
	a.become(!old)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.live()
	}()
	w.t.Cleanup(func() {
		a.end()
		<-ended
	})
	return a
}

// become says what the next life is: this version or the previous one, each with a configuration that it knows.
func (a *agent) become(present bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.program, a.file = previous, a.data+".previous.yaml"
	if present {
		a.program, a.file = program, a.data+".yaml"
	}
	if err := os.WriteFile(a.file, []byte(a.w.config(a, present)), 0o600); err != nil {
		a.w.t.Error(err)
	}
}

// upgrade ends the previous version, and the next life is this one.
func (a *agent) upgrade() {
	a.become(true)
	a.signal(syscall.SIGTERM, 0)
}

// live starts the agent again and again until it is over.
func (a *agent) live() {
	log, err := os.OpenFile(a.data+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		a.w.t.Error(err)
		return
	}
	defer log.Close()
	for a.start(log) {
		_ = a.cmd.Wait() // Killed is what it is to be.
		a.mu.Lock()
		a.w.note("%s has ended: %v", a.name, a.cmd.ProcessState)
		rest := a.rest
		a.cmd, a.rest = nil, 0
		a.mu.Unlock()
		pass(rest + 100*time.Millisecond)
	}
}

// start begins a life, unless there is to be none.
func (a *agent) start(log *os.File) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return false
	}
	cmd := exec.Command(a.program, "serve", "-c", a.file)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, a.w.dir
	if err := cmd.Start(); err != nil {
		a.w.t.Error(err)
		return false
	}
	a.cmd = cmd
	return true
}

// signal sends a signal to the present life. After the end of it the next one begins when rest has passed.
func (a *agent) signal(s syscall.Signal, rest time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cmd == nil {
		return
	}
	a.rest = max(a.rest, rest)
	_ = a.cmd.Process.Signal(s) // It may be gone by itself.
}

// end ends the agent for good.
func (a *agent) end() {
	a.mu.Lock()
	a.over = true
	a.mu.Unlock()
	a.signal(syscall.SIGCONT, 0)
	a.signal(syscall.SIGKILL, 0)
}

// keepLogs keeps what the agents wrote, for whoever looks for the reason.
func (w *world) keepLogs(seed uint64) {
	if *keep == "" {
		return
	}
	for i, a := range w.agents {
		log, err := os.ReadFile(a.data + ".log")
		if err == nil {
			err = os.WriteFile(filepath.Join(*keep, fmt.Sprintf("seed-%d-agent-%d.log", seed, i)), log, 0o600)
		}
		if err != nil {
			w.t.Error(err)
		}
	}
}

// get returns what the agent answers with 200, "" if it does not.
func (a *agent) get(ctx context.Context, path string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+path, http.NoBody)
	if err != nil {
		a.w.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return ""
	}
	return string(text)
}

// ready waits until the agent answers.
func (a *agent) ready() {
	a.w.t.Helper()
	ctx, cancel := patiently()
	defer cancel()
	for {
		if a.get(ctx, "/readyz") != "" {
			return
		}
		if ctx.Err() != nil {
			log, _ := os.ReadFile(a.data + ".log")
			a.w.t.Fatalf("%s is not ready:\n%s", a.name, log)
		}
		pass(20 * time.Millisecond)
	}
}
