package run

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/runners"
)

// starter is who gives Compilation.Given.
const starter = "the start of the run"

// settings gives a task's parameters their values, the nearest giver's, and checks them.
func (k *compiler) settings(st pipeline.Stage, t pipeline.Task, plan TaskPlan) []param.Setting {
	tmpl := plan.Template
	decls := k.decls(tmpl)
	layers := append(k.defaults(plan.Runner, tmpl), []param.Layer{
		{Origin: "pipeline " + k.pipeline.Name, Given: givens(k.pipeline)},
		{Origin: "stage " + st.Name, Given: st.With},
		{Origin: "task " + t.Name, Given: t.With},
		{Origin: starter, Given: k.Given},
	}...)
	layers = append(layers, k.handed(t, decls, layers)...)
	k.take(decls, layers)
	k.undeclared(decls, t, tmpl)
	settings, problems := param.Resolve(decls, layers...)
	for _, p := range problems {
		if p.Pos == (param.Pos{}) {
			p.Pos = t.Pos
		}
		k.fail(p.Pos, "%s (task %s, %s)", p.Message, t.Name, tmpl.Ref())
	}
	for _, s := range settings {
		k.size += s.Value.Size()
		k.check(s, where(s.Name, layers), t, tmpl)
	}
	return settings
}

// handed is what earlier tasks hand on without being asked: an output sets a parameter whose declaration wants that, over
// whatever was given (C2), unless the nearest giver names an output himself or wants none (null). Only templates that
// declare their outputs are looked at: what a script writes nobody knows beforehand.
func (k *compiler) handed(t pipeline.Task, decls []param.Decl, layers []param.Layer) []param.Layer {
	var all []param.Layer
	for _, d := range decls {
		writers := k.writers(d.Name)
		switch {
		case !d.FromOutput || len(writers) == 0 || named(d.Name, layers):
		case len(writers) > 1:
			k.fail(t.Pos, "tasks %[1]s all write %[2]s: say which task %[3]s takes, `%[2]s: {output: %[4]s.%[2]s}`", strings.Join(writers, ", "), d.Name, t.Name, writers[0])
		default:
			ref := param.Value{Output: &param.Output{Task: writers[0], Name: d.Name}}
			all = append(all, param.Layer{Origin: "output of task " + writers[0], Given: []param.Given{{Name: d.Name, Value: ref, Pos: t.Pos}}})
		}
	}
	return all
}

// writers are the tasks that have ended when the next one starts and whose templates write the output.
func (k *compiler) writers(output string) []string {
	var tasks []string
	for _, task := range slices.Sorted(maps.Keys(k.earlier)) {
		if slices.Contains(k.outputs[task], output) {
			tasks = append(tasks, task)
		}
	}
	return tasks
}

// named tells whether the nearest giver of a parameter refers to an output, or wants none.
func named(name string, layers []param.Layer) bool {
	decided := false
	for _, l := range layers {
		for _, g := range l.Given {
			if g.Name == name && !g.Value.Empty() {
				decided = g.Value.Null || len(g.Value.Outputs()) > 0
			}
		}
	}
	return decided
}

// defaults are the layers beneath what anybody gives.
func (k *compiler) defaults(runner string, tmpl template.Template) []param.Layer {
	origin := "default of " + tmpl.Ref()
	layers := []param.Layer{param.Defaults(origin, tmpl.Params)}
	if kind := k.Runners[runner].Kind; kind != "" {
		layers = append(layers, param.DefaultsIn(param.Case(kind), origin+" on "+kind, tmpl.Params))
	}
	if k.Event.Request != nil {
		layers = append(layers, param.DefaultsIn(param.InRequest, origin+" for requests", tmpl.Params))
	}
	return layers
}

// decls is what a task declares: its template's parameters and, where that is open, the pipeline's own as environment.
func (k *compiler) decls(tmpl template.Template) []param.Decl {
	decls := slices.Clone(tmpl.Params)
	for _, p := range k.pipeline.Params {
		i := slices.IndexFunc(decls, func(d param.Decl) bool { return d.Name == p.Name })
		switch {
		case i >= 0:
			decls[i].Required = decls[i].Required || p.Required
		case tmpl.Open && p.Value.List == nil && p.Value.Map == nil:
			decls = append(decls, param.Decl{Name: p.Name, Type: param.Text, Use: param.UseEnv, Required: p.Required})
		}
	}
	return decls
}

// take notes which of the given parameters this task takes.
func (k *compiler) take(decls []param.Decl, layers []param.Layer) {
	for _, d := range decls {
		k.known[d.Name] = true
		for _, l := range layers {
			k.taken[l.Origin+" "+d.Name] = true
		}
	}
}

// undeclared reports what a task gives and its template does not take.
func (k *compiler) undeclared(decls []param.Decl, t pipeline.Task, tmpl template.Template) {
	var known []string
	for _, d := range decls {
		known = append(known, d.Name)
	}
	for _, g := range t.With {
		if slices.Contains(known, g.Name) || isSystem(g.Name) {
			continue
		}
		hint := meant(g.Name, known, "; it takes ")
		if env := tmpl.Container.EnvFrom; len(env) > 0 {
			hint += fmt.Sprintf(" (environment variables stand under `%s`)", env[0])
		}
		k.fail(g.Pos, "%s has no parameter `%s`%s", tmpl.Ref(), g.Name, hint)
	}
}

// untaken reports what a pipeline, a stage or the starter gives and none of its tasks takes.
func (k *compiler) untaken(given []param.Given, giver string) {
	known := slices.Collect(maps.Keys(k.known))
	for _, g := range given {
		if !k.blind && !k.taken[giver+" "+g.Name] && !isSystem(g.Name) {
			k.fail(g.Pos, "no task takes the parameter `%s` of %s%s", g.Name, giver, param.DidYouMean(g.Name, known))
		}
	}
}

// names refuses to set what every task is given anyway.
func (k *compiler) names(given []param.Given) {
	for _, g := range given {
		if isSystem(g.Name) {
			k.fail(g.Pos, "`%s` is set for every task and cannot be given: choose another name", g.Name)
		}
	}
}

// check looks at one setting of a task: what it refers to, and the environment that it becomes.
func (k *compiler) check(s param.Setting, pos param.Pos, t pipeline.Task, tmpl template.Template) {
	for _, ref := range s.Value.Outputs() {
		if !k.earlier[ref.Task] {
			earlier := slices.Sorted(maps.Keys(k.earlier))
			k.fail(pos, "task %s cannot take %s.%s: no task `%s` has ended when it starts%s",
				t.Name, ref.Task, ref.Name, ref.Task, param.DidYouMean(ref.Task, earlier))
		} else if known := k.outputs[ref.Task]; len(known) > 0 && !slices.Contains(known, ref.Name) {
			k.fail(pos, "task %s writes no output %s%s", ref.Task, ref.Name, meant(ref.Name, known, "; it writes "))
		}
	}
	k.secrets(s, pos, tmpl)
	if s.Use == param.UseEnv {
		k.env(s.Name, pos)
	}
	if slices.Contains(tmpl.Container.EnvFrom, s.Name) {
		for _, name := range slices.Sorted(maps.Keys(s.Value.Map)) {
			k.env(name, pos)
			if ref := s.Value.Map[name].Secret; ref != nil && ref.Key == "" {
				k.fail(pos, "secret `%s` has several entries, and %s is one variable: write {secret: %[1]s/KEY}", ref.Name, name)
			}
		}
	}
}

func (k *compiler) env(name string, pos param.Pos) {
	if err := runners.CheckEnv(name); err != nil {
		k.fail(pos, "%s", err)
	} else if isSystem(name) {
		k.fail(pos, "`%s` is set for every task and cannot be given: choose another name", name)
	}
}

// meant is what to write instead of an unknown name: the nearest known one, else all of them.
func meant(name string, known []string, all string) string {
	if hint := param.DidYouMean(name, known); hint != "" {
		return hint
	}
	const most = 10
	if more := len(known) - most; more > 0 {
		return fmt.Sprintf("%s%s and %d more", all, strings.Join(known[:most], ", "), more)
	}
	return all + strings.Join(known, ", ")
}

// where finds the nearest place where a parameter is given.
func where(name string, layers []param.Layer) (pos param.Pos) {
	for _, l := range layers {
		for _, g := range l.Given {
			if g.Name == name && !g.Value.Empty() {
				pos = g.Pos
			}
		}
	}
	return pos
}

func givens(p pipeline.Pipeline) []param.Given {
	var all []param.Given
	for _, given := range p.Params {
		all = append(all, given.Given)
	}
	return all
}
