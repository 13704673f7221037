package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/runners/local"
	"github.com/millrace-ci/millrace/triggers"
)

// localRunner is the name of exec's only runner, and of its line.
const localRunner = "local"

// agentHere makes an agent that remembers in memory and runs tasks in dir. cleanUp removes what their processes left in
// a temporary folder.
func agentHere(ctx context.Context, s streams, dir string) (a *agent.Agent, mem memory, cleanUp func(), err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, mem, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, mem, nil, err
	}
	temp, err := os.MkdirTemp("", "millrace-exec-")
	if err != nil {
		return nil, mem, nil, err
	}
	cleanUp = func() { _ = os.RemoveAll(temp) }
	log := slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	runner, err := local.New(local.Config{
		Dir: temp, Command: []string{self, keeperCommand}, InPlace: dir, Engine: local.FindEngine(ctx), Log: log,
		Env: map[string]string{"PATH": os.Getenv("PATH"), "HOME": os.Getenv("HOME")}, // its tools and caches are the caller's
	})
	if err != nil {
		cleanUp()
		return nil, mem, nil, err
	}
	mem = inProcess(leaseTime)
	a, err = agent.New(agent.Config{
		Name: "exec", URL: "http://localhost", Roles: agent.Roles{Plan: true, Work: true},
		Runners:   map[string]agent.Runner{localRunner: {Kind: "local", Line: localRunner, Capacity: runtime.NumCPU(), Runner: runner}},
		Catalogue: template.Builtin(template.Platform{}), Definitions: nothing{},
		Queues: mem.queues, Inbox: mem.inbox, Runs: mem.runs, Plans: mem.plans, Logs: mem.logs,
		LeaseTime: leaseTime, StopGrace: stopGrace, Now: time.Now, Metrics: metrics.NewAgent(prometheus.NewRegistry()), Log: log,
	})
	if err != nil {
		cleanUp()
	}
	return a, mem, cleanUp, err
}

// nothing is the definitions of no repository: exec reads the working tree itself.
type nothing struct{}

func (nothing) Definitions(context.Context, triggers.Access, triggers.At) ([]triggers.File, []triggers.Unreadable, error) {
	return nil, nil, nil
}
