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
	"github.com/millrace-ci/millrace/triggers"
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
	var output *format
	c := &cobra.Command{
		Use: "explain", Short: "Say which pipelines an event starts, and why", Args: arguments(0, 0), GroupID: groupHere,
		Long: `Says for each pipeline of the working tree whether an event starts it, with the
condition and the value that decided it. The event is a push of HEAD, or the
payload of a webhook. Nothing is run.`,
		Example: `  millrace explain
  millrace explain --params
  millrace explain --event p.json --forge github --header 'X-GitHub-Event: push'`,
		RunE: func(c *cobra.Command, _ []string) error {
			event, err := f.event(c.Context())
			if err != nil {
				return err
			}
			t, err := readTree(f.dir)
			if err != nil {
				return err
			}
			lines := explain(t, event, params)
			return output.print(s.out, lines, func(w io.Writer) error { return explainText(w, lines) })
		},
	}
	f.add(c)
	c.Flags().BoolVar(&params, "params", false, "also show tasks' parameters, and who set them")
	output = formatFlag(c)
	return c
}

// explain decides as the planner does, and keeps why.
func explain(t tree, e triggers.Event, params bool) []explained {
	lines := []explained{}
	for _, d := range agent.Decide(t.files, run.Compilation{Event: e, Catalogue: template.Builtin(template.Platform{}), DefaultRunner: "local"}) {
		line := explained{Explanation: d.Explanation}
		if params && d.Run != nil {
			line.Tasks = tasksOf(d.Run)
		}
		lines = append(lines, line)
	}
	for _, p := range t.bad {
		lines = append(lines, explained{Explanation: pipeline.Explanation{Pipeline: pipeline.FileName(p.File), File: p.File, Reason: p.String()}})
	}
	return lines
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
		_, err := fmt.Fprintln(out, noDefinitions+" here")
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
	for _, l := range lines {
		for _, t := range l.Tasks {
			if err := w.Flush(); err != nil { // each task has columns of its own width
				return err
			}
			fmt.Fprintf(out, "\n%s / %s (%s)\n", l.Pipeline, t.Name, t.Uses)
			for _, p := range t.Params {
				fmt.Fprintf(w, "  %s\t%s\t%s\n", p.Name, oneLine(p.Value.String()), p.Origin)
			}
		}
	}
	return w.Flush()
}

// oneLine shortens a value to what fits beside its name.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return s
}
