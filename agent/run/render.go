package run

import (
	"fmt"
	"maps"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/template"
)

// Render makes what an attempt runs: the task's settings with the outputs of earlier tasks in their place, put into the
// template, and the system parameters over its environment. An error is for the author: an output that is missing, or
// that is no value of the parameter it is for.
func Render(r Run, t Task, s Surroundings) (template.Rendered, error) {
	plan := r.plan(&t)
	settings := make([]param.Setting, 0, len(plan.Settings))
	for _, setting := range plan.Settings {
		filled, err := fill(r, plan.Template, setting, s.Unknown)
		if err != nil {
			return template.Rendered{}, err
		}
		settings = append(settings, filled)
	}
	system := System(r.Plan, t, s)
	out, err := template.Render(plan.Template, settings, sayable(system))
	if err != nil {
		return template.Rendered{}, err
	}
	maps.Copy(out.Env, system)
	return out, nil
}

// fill puts outputs in the place of references, and checks what came out like any other value, unless some of it is
// unknown yet.
func fill(r Run, t template.Template, s param.Setting, unknown func(task, name string) string) (param.Setting, error) {
	if len(s.Value.Outputs()) == 0 {
		return s, nil
	}
	known := true
	v, err := s.Value.Fill(func(task, name string) (string, bool) {
		from, _, _ := r.Task(task)
		value, ok := from.Outputs[name]
		if !ok && unknown != nil {
			value, ok, known = unknown(task, name), true, false
		}
		return value, ok
	})
	if err != nil {
		return s, fmt.Errorf("parameter `%s`: %w", s.Name, err)
	}
	if !known {
		s.Value = v
		return s, nil
	}
	d := declaration(t.Params, s.Name)
	if v.Empty() && d.Required {
		return s, fmt.Errorf("parameter `%s` is required, and the output of an earlier task that it takes is empty", s.Name)
	}
	if s.Value, err = d.Check(v); err != nil {
		return s, fmt.Errorf("%w, an output of an earlier task", err)
	}
	return s, nil
}

// declaration finds a declared parameter. Others are the pipeline's own, and are texts.
func declaration(decls []param.Decl, name string) param.Decl {
	for _, d := range decls {
		if d.Name == name {
			return d
		}
	}
	return param.Decl{Name: name, Type: param.Text, Use: param.UseEnv}
}
