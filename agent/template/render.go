package template

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/millrace-ci/millrace/agent/param"
)

// Rendered is a template with its values in place.
type Rendered struct {
	Image   string
	Command []string
	Env     map[string]string
}

// Render puts the settings into the template. All of them are filled: none refers to an output. Each scalar is replaced
// in one pass and the result is not read again. A declared parameter without a setting is empty. The environment is,
// the later over the earlier: settings that are used as environment, the entries of EnvFrom, the template's own.
// Errors are mistakes of the template's author.
func Render(t Template, settings []param.Setting) (Rendered, error) {
	e := expander{template: t, values: map[string]param.Value{}}
	out := Rendered{Env: map[string]string{}}
	for _, s := range settings {
		e.values[s.Name] = s.Value
		if s.Use == param.UseEnv && s.Value.Text != nil {
			out.Env[s.Name] = *s.Value.Text
		}
	}
	for _, name := range t.Container.EnvFrom {
		for key, v := range e.values[name].Map {
			if v.Text != nil {
				out.Env[key] = *v.Text
			}
		}
	}
	for key, scalar := range t.Container.Env {
		out.Env[key] = e.expand(scalar)
	}
	out.Image = e.expand(t.Container.Image)
	for _, scalar := range t.Container.Command {
		out.Command = append(out.Command, e.expand(scalar))
	}
	return out, e.err
}

var reference = regexp.MustCompile(`\$\{[^}]*\}`)

// expander replaces ${NAME} and keeps the first error.
type expander struct {
	template Template
	values   map[string]param.Value
	err      error
}

func (e *expander) expand(scalar string) string {
	return reference.ReplaceAllStringFunc(scalar, func(ref string) string {
		name := ref[2 : len(ref)-1]
		i := slices.IndexFunc(e.template.Params, func(d param.Decl) bool { return d.Name == name })
		switch v := e.values[name]; {
		case i < 0:
			e.fail(fmt.Errorf("template %s: %s stands for no parameter of it", e.template.Ref(), ref))
		case e.template.Params[i].Type == param.List, e.template.Params[i].Type == param.Map:
			e.fail(fmt.Errorf("template %s: %s is a %s and cannot stand in a text", e.template.Ref(), ref, e.template.Params[i].Type))
		case v.Text != nil:
			return *v.Text
		}
		return ""
	})
}

func (e *expander) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}
