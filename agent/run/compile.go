package run

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/triggers"
)

// maxSettings bounds the bytes of all settings of a snapshot: each task has the parameters that it takes for itself.
const maxSettings = 4 << 20

// Compilation is what a snapshot is made of, beside the pipeline.
type Compilation struct {
	Event         triggers.Event
	Catalogue     template.Catalogue
	Runners       map[string]RunnerInfo // the configured ones by name; nil: unknown, so nothing is checked against them
	DefaultRunner string
	Secrets       map[string]SecretPolicy // the operator's by name; nil: unknown, so nothing is checked against them
	Given         []param.Given           // by who starts the run: over what the file says
	Cause         Cause
	At            time.Time
}

// RunnerInfo is what is to be known of a runner to plan for it.
type RunnerInfo struct {
	Kind string // local, kube
	Line string // name of the queue whose workers have it
}

// Compile decides all that can be decided before a run starts: it looks templates up, settles parameters, and checks
// what the definition alone cannot tell. Problems are the author's and come all at once, in the order of the file; the
// snapshot then has no stages. It is pure, and the same for the same input.
func Compile(p pipeline.Pipeline, c Compilation) (Snapshot, []pipeline.Problem) {
	k := &compiler{Compilation: c, pipeline: p, taken: map[string]bool{}, known: map[string]bool{}, earlier: map[string]bool{}, outputs: map[string][]string{}}
	s := Snapshot{
		ID: ID(c.Event.ID, p.File), Event: c.Event, Cause: c.Cause, Pipeline: p.Name, File: p.File, Version: p.VersionOf(c.Event),
		Status: p.Status, Timeout: p.Timeout, Lane: laneOf(p, c.Event), CreatedAt: c.At,
	}
	k.names(givens(p))
	k.names(c.Given)
	for _, st := range p.Stages {
		s.Stages = append(s.Stages, k.stage(st))
	}
	k.untaken(givens(p), "pipeline "+p.Name)
	k.untaken(c.Given, starter)
	if k.size > maxSettings {
		k.fail(param.Pos{Line: 1, Column: 1}, "the parameters of all tasks together have %d bytes; at most %d are taken", k.size, maxSettings)
	}
	if len(k.problems) > 0 {
		s.Stages = nil
	}
	slices.SortStableFunc(k.problems, func(a, b pipeline.Problem) int {
		return cmp.Or(a.Pos.Line-b.Pos.Line, a.Pos.Column-b.Pos.Column)
	})
	return s, k.problems
}

// compiler collects what is known while the stages are gone through in order.
type compiler struct {
	Compilation
	pipeline pipeline.Pipeline
	problems []pipeline.Problem
	taken    map[string]bool     // parameters that some task takes, by giver and name
	known    map[string]bool     // parameters that tasks of this pipeline declare
	blind    bool                // a template is unknown, so nobody can say what its task would take
	earlier  map[string]bool     // tasks that have ended when the next one starts
	outputs  map[string][]string // by task, where its template says which they are
	size     int
}

// fail notes a problem once, and no more of them than people read.
func (k *compiler) fail(pos param.Pos, format string, args ...any) {
	const most = 100
	p := pipeline.Problem{File: k.pipeline.File, Pos: pos, Message: fmt.Sprintf(format, args...)}
	if len(k.problems) < most && !slices.Contains(k.problems, p) {
		k.problems = append(k.problems, p)
	}
}

func (k *compiler) stage(st pipeline.Stage) StagePlan {
	k.names(st.With)
	plan := StagePlan{Name: st.Name, Parallel: st.Parallel}
	for _, t := range st.Tasks {
		plan.Tasks = append(plan.Tasks, k.task(st, t))
		if !st.Parallel {
			k.earlier[t.Name] = true
		}
	}
	for _, t := range st.Tasks {
		k.earlier[t.Name] = true
	}
	k.untaken(st.With, "stage "+st.Name)
	return plan
}

func (k *compiler) task(st pipeline.Stage, t pipeline.Task) TaskPlan {
	k.names(t.With)
	plan := TaskPlan{Name: t.Name, Timeout: t.Timeout, IgnoreFailed: t.IgnoreFailed, Retry: t.Retry, DryRun: t.DryRun}
	tmpl, err := k.Catalogue.Find(t.Uses)
	if err != nil {
		k.fail(t.UsesPos, "%s", err)
		k.blind = true
		return plan
	}
	k.outputs[t.Name] = slices.Sorted(maps.Keys(tmpl.Outputs))
	plan.Template = tmpl
	plan.Template.Readme = "" // it is for people who write pipelines
	plan.Runner, plan.Line = k.runner(t, tmpl)
	plan.Settings = k.settings(st, t, plan)
	return plan
}

// runner decides where a task runs.
func (k *compiler) runner(t pipeline.Task, tmpl template.Template) (name, line string) {
	name = t.Runner
	if name == "" {
		name = k.DefaultRunner
	}
	if k.Runners == nil {
		return name, ""
	}
	info, ok := k.Runners[name]
	there := slices.Sorted(maps.Keys(k.Runners))
	switch {
	case name == "":
		k.fail(t.Pos, "task %s names no `runner` and there is no default: write one of %s", t.Name, strings.Join(there, ", "))
	case !ok:
		k.fail(t.Pos, "there is no runner `%s`%s", name, meant(name, there, "; there is "))
	case !slices.Contains(tmpl.RunsOn, info.Kind):
		k.fail(t.Pos, "%s does not run on runner %s, which is of kind %s: it needs %s", tmpl.Ref(), name, info.Kind, strings.Join(tmpl.RunsOn, " or "))
	}
	return name, info.Line
}
