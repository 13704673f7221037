package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
)

// printer prints one run while it goes: the lines of its tasks, each after its task's name.
type printer struct {
	s     streams
	mem   memory
	agent *agent.Agent

	mu       sync.Mutex // of the output
	tasks    sync.WaitGroup
	followed map[string]bool
}

// run starts the run and returns it when it has ended. When ctx ends the run is canceled, and its end waited for.
func (p *printer) run(ctx context.Context, plan *run.Snapshot) (run.Run, error) {
	p.followed = map[string]bool{}
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
		p.follow(watch, r)
		if r.State.Final() {
			p.tasks.Wait()
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

// follow begins to print the tasks that have begun since it was called last, and tells which were passed over.
func (p *printer) follow(ctx context.Context, r run.Run) {
	for _, t := range r.Tasks {
		if p.followed[t.Name] || t.StartedAt.IsZero() && !t.State.Final() {
			continue
		}
		p.followed[t.Name] = true
		if t.StartedAt.IsZero() {
			p.line(t.Name, fmt.Sprintf("%s: %s", t.State, t.Reason))
			continue
		}
		p.tasks.Go(func() { p.log(ctx, logs.Key{Run: r.Plan.ID, Task: t.Name, Attempt: t.Attempt}) })
	}
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
	fmt.Fprintf(p.s.out, "%s | %s\n", task, text)
}
