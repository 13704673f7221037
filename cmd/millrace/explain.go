package main

import (
	"context"
	"errors"
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
	Lane  *pipeline.Concurrency `json:"lane,omitempty"`  // in which its run would stand
	Tasks []explainedTask       `json:"tasks,omitempty"` // with --params or --manifests
}

type explainedTask struct {
	Name     string          `json:"name"`
	Uses     string          `json:"uses"`
	Runner   string          `json:"runner,omitempty"`
	Params   []param.Setting `json:"params,omitempty"`   // with --params
	Manifest string          `json:"manifest,omitempty"` // with --manifests: what the runner would make
	Refused  string          `json:"refused,omitempty"`  // instead of it: why it would make nothing
}

func explainCommand(s streams) *cobra.Command {
	var f eventFlags
	show := explainFlags{notes: s.err}
	var output *format
	c := &cobra.Command{
		Use: "explain", Short: "Say which pipelines an event starts, and why", Args: arguments(0, 0), GroupID: groupHere,
		Long: `Says for each pipeline of the working tree whether an event starts it, with the
condition and the value that decided it. The event is a push of HEAD, or the
payload of a webhook. Nothing is run.

--manifests shows what the runner of each task would make, as YAML: an output
that an earlier task has not written yet stands there as <TASK.NAME>. It decides
as a daemon of the configuration file does, and asks neither Redis, nor the
forge, nor the cluster.`,
		Example: `  millrace explain
  millrace explain --params
  millrace explain --manifests -c /etc/millrace.yaml
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
			lines, err := show.explain(c.Context(), f.dir, t, event)
			if err != nil {
				return err
			}
			return output.print(s.out, lines, func(w io.Writer) error { return explainText(w, lines) })
		},
	}
	f.add(c)
	c.Flags().BoolVar(&show.params, "params", false, "also show tasks' parameters, and who set them")
	c.Flags().BoolVar(&show.manifests, "manifests", false, "also show what the tasks' runners would make")
	c.Flags().StringVarP(&show.config, "config", "c", "", "with --manifests: configuration `FILE` (./millrace.yaml)")
	output = formatFlag(c)
	return c
}

// explainFlags say what is shown beside the verdicts.
type explainFlags struct {
	params, manifests bool
	config            string
	notes             io.Writer
}

// explain decides as the planner does, and keeps why.
func (x explainFlags) explain(ctx context.Context, dir string, t tree, e triggers.Event) ([]explained, error) {
	c := run.Compilation{Event: e, Catalogue: template.Builtin(template.Platform{}), DefaultRunner: "local"}
	draw := func(*run.Snapshot, []explainedTask) {}
	switch {
	case x.manifests:
		s, err := newSketcher(x.config)
		if err != nil {
			return nil, err
		}
		c, draw = s.agent.Compilation(s.settle(ctx, dir, e)), s.draw
		if c.Event.Forge == "" {
			fmt.Fprintln(x.notes, "no configured forge has the repository of this event: tasks are shown without a checkout")
		}
	case x.config != "":
		return nil, usage(errors.New("-c is for --manifests: give that too"))
	}
	lines := []explained{}
	for _, d := range agent.Decide(t.files, c) {
		line := explained{Explanation: d.Explanation}
		if d.Run != nil && d.Run.Lane != nil {
			line.Lane = &d.Run.Lane.Concurrency
		}
		if d.Run != nil && (x.params || x.manifests) {
			line.Tasks = tasksOf(d.Run, x.params)
			draw(d.Run, line.Tasks)
		}
		lines = append(lines, line)
	}
	for _, p := range t.bad {
		lines = append(lines, explained{Explanation: pipeline.Explanation{Pipeline: pipeline.FileName(p.File), File: p.File, Reason: p.String()}})
	}
	return lines, nil
}

func tasksOf(plan *run.Snapshot, params bool) []explainedTask {
	var tasks []explainedTask
	for _, stage := range plan.Stages {
		for _, t := range stage.Tasks {
			task := explainedTask{Name: t.Name, Uses: t.Template.Ref(), Runner: t.Runner}
			if params {
				task.Params = t.Settings
			}
			tasks = append(tasks, task)
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
		if l.Lane != nil {
			fmt.Fprintf(w, "\t\t\tin lane %s\n", l.Lane)
		}
	}
	for _, l := range lines {
		for _, t := range l.Tasks {
			if err := w.Flush(); err != nil { // each task has columns of its own width
				return err
			}
			fmt.Fprintf(out, "\n%s / %s (%s)%s\n", l.Pipeline, t.Name, t.Uses, t.place())
			for _, p := range t.Params {
				fmt.Fprintf(w, "  %s\t%s\t%s\n", p.Name, oneLine(p.Value.String()), p.Origin)
			}
			if err := w.Flush(); err != nil {
				return err
			}
			switch {
			case t.Refused != "":
				fmt.Fprintf(out, "  %s\n", t.Refused)
			case t.Manifest != "":
				fmt.Fprintf(out, "---\n%s", t.Manifest)
			}
		}
	}
	return w.Flush()
}

// place says where a task runs, where that was asked for.
func (t explainedTask) place() string {
	if t.Manifest+t.Refused == "" {
		return ""
	}
	return " on " + t.Runner
}

// oneLine shortens a value to what fits beside its name.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return s
}
