package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/template"
)

func execCommand(s streams) *cobra.Command {
	var f eventFlags
	var name string
	var params []string
	c := &cobra.Command{
		Use: "exec", Short: "Run the working tree's pipelines here, as they stand", Args: arguments(0, 0), GroupID: groupHere,
		Long: `Runs the pipelines that an event starts, in the working tree as it stands: tasks
are processes of this machine, and nobody is told. The event is a push of HEAD,
or the payload of a webhook. Ctrl-C cancels the run.

It exits with 0 when all runs succeeded, 1 when one did not, 2 when the command
line is wrong, 3 when no pipeline is to run.`,
		Example: `  millrace exec
  millrace exec --pipeline release -p IMAGE_REPOSITORY=localhost:5000/api
  millrace exec --event push.json --forge gitea --header 'X-Gitea-Event: push'`,
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
			t, err := readTree(f.dir)
			if err != nil {
				return err
			}
			compilation := run.Compilation{
				Event: event, Catalogue: template.Builtin(template.Platform{}), Given: given, At: time.Now().UTC(),
				Runners: map[string]run.RunnerInfo{localRunner: {Kind: "local", Line: localRunner}}, DefaultRunner: localRunner,
			}
			plans, err := choose(t, name, compilation)
			if err != nil {
				return err
			}
			if err := keepless(plans); err != nil {
				return err
			}
			return execHere(c.Context(), s, f.dir, plans)
		},
	}
	f.add(c)
	c.Flags().StringVar(&name, "pipeline", "", "run the one with this `NAME`, whatever it asks for")
	c.Flags().StringArrayVarP(&params, "param", "p", nil, "a parameter of the run, `NAME=VALUE`")
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

// choose returns the snapshots to run: of the pipelines that the event starts, or of the one with a name. Definitions
// with problems are among them, to be told.
func choose(t tree, name string, c run.Compilation) ([]*run.Snapshot, error) {
	decide := agent.Decide
	if name != "" {
		decide = agent.DecideAnyway
	}
	var plans []*run.Snapshot
	var names, reasons []string
	for _, d := range decide(t.files, c) {
		names = append(names, d.Pipeline)
		switch {
		case name != "" && d.Pipeline != name:
		case d.Matched, d.Run != nil && len(d.Run.Problems) > 0:
			plans = append(plans, d.Run)
		default:
			reasons = append(reasons, fmt.Sprintf("\n  %s: %s", d.Pipeline, d.Reason))
		}
	}
	for _, p := range t.bad {
		if broken := pipeline.FileName(p.File); name == "" || broken == name {
			plans = append(plans, &run.Snapshot{Pipeline: broken, File: p.File, Problems: []pipeline.Problem{p}})
		}
	}
	switch {
	case t.none():
		return nil, exitError{exitNothing, errors.New(noDefinitions + " there")}
	case len(plans) == 0 && name != "":
		return nil, usage(fmt.Errorf("--pipeline: there is no pipeline %q here, there is %s", name, strings.Join(names, ", ")))
	case len(plans) == 0:
		return nil, exitError{exitNothing, fmt.Errorf("this event starts no pipeline (--pipeline NAME runs one all the same):%s", strings.Join(reasons, ""))}
	}
	return plans, misgiven(plans)
}

// misgiven is the error of parameters that were given on the command line and that no task takes: problems that stand
// in no file.
func misgiven(plans []*run.Snapshot) error {
	for _, plan := range plans {
		for _, p := range plan.Problems {
			if p.Pos == (param.Pos{}) {
				return usage(fmt.Errorf("-p: pipeline %s: %s", plan.Pipeline, p.Message))
			}
		}
	}
	return nil
}

// keepless is the error of a task that needs a secret: what runs here has no configuration that says where it is kept.
// What a task asks of its runner is not used here.
func keepless(plans []*run.Snapshot) error {
	for _, plan := range plans {
		for _, stage := range plan.Stages {
			for _, t := range stage.Tasks {
				for _, s := range t.Settings {
					if refs := s.Value.Secrets(); len(refs) > 0 && s.Use != param.UseRunner {
						return usage(fmt.Errorf("pipeline %s: task %s is given %s, and exec knows no secrets: take it from a parameter of the pipeline instead and give that with -p NAME=VALUE, or let the daemon run it",
							plan.Pipeline, t.Name, param.Value{Secret: &refs[0]}))
					}
				}
			}
		}
	}
	return nil
}

// execHere runs snapshots in dir, one after another, with an agent that lives in this process. It fails when one of
// them does.
func execHere(ctx context.Context, s streams, dir string, plans []*run.Snapshot) error {
	a, mem, cleanUp, err := agentHere(ctx, s, dir)
	if err != nil {
		return err
	}
	defer cleanUp()
	work, end := context.WithCancel(context.WithoutCancel(ctx)) // an interrupt cancels the run, and its end is waited for
	defer end()
	var g errgroup.Group
	g.Go(func() error { return a.Run(work, work) })
	failed := false
	for _, plan := range plans {
		if len(plan.Problems) > 0 {
			failed = true
			_ = listProblems(s.err, plan.Problems)
			continue
		}
		plan.Lane = nil // there is nobody else here to wait for
		var r run.Run
		r, err = newPrinter(s.out, mem, a).run(ctx, plan)
		failed = failed || r.State != run.Succeeded
		if err != nil || ctx.Err() != nil {
			break
		}
	}
	end()
	err = errors.Join(err, g.Wait())
	if err == nil && failed {
		return exitError{code: exitFailed}
	}
	return err
}
