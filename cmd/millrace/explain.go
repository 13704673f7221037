package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/template"
)

// explained is one pipeline's line of explain.
type explained struct {
	pipeline.Explanation
	Tasks []explainedTask `json:"tasks,omitempty"` // with --params
}

type explainedTask struct {
	Name   string          `json:"name"`
	Uses   string          `json:"uses"`
	Params []param.Setting `json:"params"`
}

func explainCommand(s streams) *cobra.Command {
	var f eventFlags
	var params bool
	var output string
	c := &cobra.Command{
		Use: "explain", Short: "Say for each pipeline of the working tree whether an event starts it, and why", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			event, err := f.event(c.Context())
			if err != nil {
				return err
			}
			files, err := readTree(f.dir)
			if err != nil {
				return exitError{exitFailed, err}
			}
			lines := make([]explained, len(files))
			for i, d := range agent.Decide(files, run.Compilation{Event: event, Catalogue: template.Builtin(), DefaultRunner: "local"}) {
				lines[i].Explanation = d.Explanation
				if params && d.Run != nil {
					lines[i].Tasks = tasksOf(d.Run)
				}
			}
			return printAs(s.out, output, lines, func(w io.Writer) error { return explainText(w, lines) })
		},
	}
	f.add(c)
	c.Flags().BoolVar(&params, "params", false, "also show each task's parameters, and where each value comes from")
	outputFlag(c, &output)
	return c
}

func tasksOf(plan *run.Snapshot) []explainedTask {
	var tasks []explainedTask
	for _, stage := range plan.Stages {
		for _, t := range stage.Tasks {
			tasks = append(tasks, explainedTask{t.Name, t.Template.Ref(), t.Settings})
		}
	}
	return tasks
}

func explainText(out io.Writer, lines []explained) error {
	if len(lines) == 0 {
		_, err := fmt.Fprintln(out, "no .millrace.yaml and no .millrace/*.yaml here")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, l := range lines {
		verdict := "no"
		if l.Matched {
			verdict = "RUNS"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", verdict, l.Pipeline, l.File, l.Reason)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, l := range lines {
		for _, t := range l.Tasks {
			fmt.Fprintf(out, "\n%s / %s (%s)\n", l.Pipeline, t.Name, t.Uses)
			for _, p := range t.Params {
				fmt.Fprintf(w, "  %s\t%s\t%s\n", p.Name, oneLine(p.Value.String()), p.Origin)
			}
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// oneLine shortens a value to what fits beside its name.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return s
}
