package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
)

// printer prints one run while it goes: the lines of its tasks, each after its task's name, and how they ended.
type printer struct {
	mem   memory
	agent *agent.Agent

	mu  sync.Mutex // of out
	out io.Writer

	logs  map[string]chan struct{} // by task; closed when its log is printed
	ended map[string]bool          // tasks whose end is printed
}

func newPrinter(out io.Writer, mem memory, a *agent.Agent) *printer {
	return &printer{mem: mem, agent: a, out: out, logs: map[string]chan struct{}{}, ended: map[string]bool{}}
}

// run starts the run and returns it when it has ended. When ctx ends the run is canceled, and its end waited for.
func (p *printer) run(ctx context.Context, plan *run.Snapshot) (run.Run, error) {
	watch, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	changes, err := p.mem.runs.Changes(watch)
	if err != nil {
		return run.Run{}, err
	}
	if err := p.agent.Create(watch, plan); err != nil {
		return run.Run{}, err
	}
	interrupted := ctx.Done()
	for {
		r, err := p.mem.runs.Load(watch, plan.ID)
		if err != nil {
			return r, err
		}
		p.show(watch, r)
		if r.State.Final() {
			return r, nil
		}
		select {
		case <-changes:
		case <-interrupted:
			interrupted = nil
			if _, err := p.agent.Cancel(watch, plan.ID, "you"); err != nil {
				return r, err
			}
		}
	}
}

// show prints what the run's state says and was not printed yet.
func (p *printer) show(ctx context.Context, r run.Run) {
	for i := range r.Tasks {
		t := &r.Tasks[i]
		if !t.StartedAt.IsZero() && p.logs[t.Name] == nil {
			printed := make(chan struct{})
			p.logs[t.Name] = printed
			key := logs.Key{Run: r.Plan.ID, Task: t.Name, Attempt: t.Attempt}
			go func() {
				defer close(printed)
				p.log(ctx, key)
			}()
		}
		if t.State.Final() && !p.ended[t.Name] {
			p.ended[t.Name] = true
			if printed := p.logs[t.Name]; printed != nil {
				<-printed
			}
			p.line(t.Name, endOf(r, t))
		}
	}
	if r.State.Final() {
		fmt.Fprintf(p.out, "%s: %s\n", r.Plan.Pipeline, endLine(string(r.State), r.Line()))
	}
}

// ignoredFailure is how a task ended that failed and was allowed to.
const ignoredFailure = "failed (ignored)"

// endOf says how a task ended.
func endOf(r run.Run, t *run.Task) string {
	state := string(t.State)
	if t.State == run.Failed && r.Plan.Stages[t.Stage].Tasks[t.Place].IgnoreFailed {
		state = ignoredFailure
	}
	return endLine(state, t.Reason)
}

// endLine says a state and its reason, where that does not begin with the same word.
func endLine(state, reason string) string {
	switch {
	case reason == "":
		return state
	case strings.HasPrefix(reason, state):
		return reason
	}
	return state + ": " + reason
}

// log prints one log to its end.
func (p *printer) log(ctx context.Context, key logs.Key) {
	var rest []byte
	for offset := int64(0); ; {
		chunk, err := p.mem.logs.Read(ctx, key, offset, time.Minute)
		if err != nil {
			p.line(key.Task, fmt.Sprintf("log cannot be read: %v", err))
			return
		}
		offset = chunk.Next
		rest = append(rest, chunk.Data...)
		for {
			line, more, ok := bytes.Cut(rest, []byte("\n"))
			if !ok {
				break
			}
			rest = more
			p.line(key.Task, text(string(line)))
		}
		if chunk.Ended {
			return
		}
	}
}

// text is a log line without its time and container.
func text(line string) string {
	if parts := strings.SplitN(line, " ", 3); len(parts) == 3 {
		return parts[2]
	}
	return line
}

func (p *printer) line(task, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "%s | %s\n", task, text)
}
