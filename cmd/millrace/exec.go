package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/runners/local"
	"github.com/millrace-ci/millrace/triggers"
)

func execCommand(s streams) *cobra.Command {
	var f eventFlags
	var pipeline string
	var params []string
	c := &cobra.Command{
		Use: "exec", Short: "Run the working tree's pipeline here, as it stands", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			given, err := givenParams(params)
			if err != nil {
				return usage(err)
			}
			event, err := f.event(c.Context())
			if err != nil {
				return err
			}
			event.Forge = "" // it is run here, from here, and nobody is told
			files, err := readTree(f.dir)
			if err != nil {
				return exitError{exitFailed, err}
			}
			compilation := run.Compilation{Event: event, Catalogue: template.Builtin(), Given: given, At: time.Now().UTC()}
			return execHere(c.Context(), s, f.dir, choose(files, pipeline, compilation))
		},
	}
	f.add(c)
	c.Flags().StringVar(&pipeline, "pipeline", "", "run this one, whatever its `on` says")
	c.Flags().StringArrayVarP(&params, "param", "p", nil, "a parameter of the run, NAME=VALUE")
	return c
}

func givenParams(params []string) ([]param.Given, error) {
	var given []param.Given
	for _, p := range params {
		name, value, ok := strings.Cut(p, "=")
		if !ok || !param.ValidName(name) {
			return nil, fmt.Errorf("-p %q: write NAME=VALUE", p)
		}
		given = append(given, param.Given{Name: name, Value: param.Value{Text: &value}})
	}
	return given, nil
}

// choose returns how to make the snapshots to run, once the runner is known.
func choose(files []triggers.File, pipeline string, c run.Compilation) func(map[string]run.RunnerInfo) ([]*run.Snapshot, error) {
	return func(runners map[string]run.RunnerInfo) ([]*run.Snapshot, error) {
		c.Runners, c.DefaultRunner = runners, "local"
		decisions := agent.Decide(files, c)
		if pipeline != "" {
			decisions = slices.DeleteFunc(agent.DecideAnyway(files, c), func(d agent.Decision) bool { return d.Pipeline != pipeline })
		}
		var plans []*run.Snapshot
		var reasons []string
		for _, d := range decisions {
			switch {
			case d.Run != nil && len(d.Run.Problems) > 0:
				return nil, exitError{exitFailed, problemsOf(d.Run)}
			case d.Matched:
				plans = append(plans, d.Run)
			default:
				reasons = append(reasons, fmt.Sprintf("\n  %s: %s", d.Pipeline, d.Reason))
			}
		}
		if len(plans) == 0 {
			return nil, exitError{exitNothing, fmt.Errorf("no pipeline here is to run%s", strings.Join(reasons, ""))}
		}
		return plans, nil
	}
}

func problemsOf(plan *run.Snapshot) error {
	var errs []error
	for _, p := range plan.Problems {
		errs = append(errs, errors.New(p.String()))
	}
	return errors.Join(errs...)
}

// execHere runs snapshots in dir with an agent that lives in this process and remembers in memory.
func execHere(ctx context.Context, s streams, dir string, snapshots func(map[string]run.RunnerInfo) ([]*run.Snapshot, error)) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "millrace-exec-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	log := slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	self, err := os.Executable()
	if err != nil {
		return err
	}
	runner, err := local.New(local.Config{
		Dir: temp, Command: []string{self, keeperCommand}, InPlace: dir, Engine: local.FindEngine(ctx), Log: log,
		Env: map[string]string{"PATH": os.Getenv("PATH"), "HOME": os.Getenv("HOME")}, // its tools and caches are the caller's
	})
	if err != nil {
		return err
	}
	plans, err := snapshots(map[string]run.RunnerInfo{"local": {Kind: "local", Line: "local"}})
	if err != nil {
		return err
	}
	mem := inProcess(leaseTime)
	a, err := agent.New(agent.Config{
		Name: "exec", URL: "http://localhost", Roles: agent.Roles{Plan: true, Work: true},
		Runners:   map[string]agent.Runner{"local": {Kind: "local", Line: "local", Capacity: 4, Runner: runner}},
		Catalogue: template.Builtin(), Definitions: nothing{},
		Queues: mem.queues, Inbox: mem.inbox, Runs: mem.runs, Plans: mem.plans, Logs: mem.logs,
		LeaseTime: leaseTime, StopGrace: stopGrace, Now: time.Now, Metrics: metrics.NewAgent(prometheus.NewRegistry()), Log: log,
	})
	if err != nil {
		return err
	}
	return watchRuns(ctx, s, a, mem, plans)
}

// watchRuns runs the plans one after another and prints them as they go. It fails when one of them did.
func watchRuns(ctx context.Context, s streams, a *agent.Agent, mem memory, plans []*run.Snapshot) error {
	work, end := context.WithCancel(context.WithoutCancel(ctx)) // an interrupt cancels the run, and its end is waited for
	defer end()
	var g errgroup.Group
	g.Go(func() error { return a.Run(work, work) })
	var failed []string
	for _, plan := range plans {
		r, err := (&printer{s: s, mem: mem, agent: a}).run(ctx, plan)
		if err != nil {
			end()
			return errors.Join(err, g.Wait())
		}
		fmt.Fprintf(s.out, "%s: %s %s\n", plan.Pipeline, r.State, r.Line())
		if r.State != run.Succeeded {
			failed = append(failed, plan.Pipeline)
		}
		if ctx.Err() != nil {
			break
		}
	}
	end()
	if err := g.Wait(); err != nil {
		return err
	}
	if len(failed) > 0 {
		return exitError{code: exitFailed}
	}
	return nil
}

// nothing is the definitions of no repository: exec reads the working tree itself.
type nothing struct{}

func (nothing) Definitions(context.Context, triggers.Access, triggers.At) ([]triggers.File, []triggers.Unreadable, error) {
	return nil, nil, nil
}
