package template

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/millrace-ci/millrace/agent/param"
)

// Rendered is a template with its values in place.
type Rendered struct {
	Image   string
	Command []string
	Env     map[string]string
	Files   map[string]string
	Secrets []Secret
	Runner  map[string]param.Value // what the job asks of its runner, by parameter
}

// Secret is one that the container is given, as an environment variable (Env) or as files in the folder Path.
type Secret struct {
	Ref  param.SecretRef
	Env  string
	Path string
	As   map[string]string // what an entry's file is called, where not by the entry's own name
}

// Render puts the settings into the template. All of them are filled: none refers to an output. Each scalar is replaced
// in one pass and the result is not read again. A declared parameter without a setting is empty. system is what scalars
// may refer to beside the template's parameters. The environment is, the later over the earlier: settings that are used
// as environment, the entries of EnvFrom, the template's own. Errors are mistakes of the template's author.
func Render(t Template, settings []param.Setting, system map[string]string) (Rendered, error) {
	e := expander{template: t, values: map[string]param.Value{}, system: system}
	out := Rendered{Env: map[string]string{}}
	for _, s := range settings {
		e.values[s.Name] = s.Value
		switch s.Use {
		case param.UseEnv:
			out.setEnv(s.Name, s.Value)
		case param.UseRunner:
			if out.Runner == nil {
				out.Runner = map[string]param.Value{}
			}
			out.Runner[s.Name] = s.Value
		}
	}
	for _, name := range t.Container.EnvFrom {
		entries := e.values[name].Map
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			out.setEnv(key, entries[key])
		}
	}
	for key, scalar := range t.Container.Env {
		out.setEnv(key, param.TextValue(e.expand(scalar)))
	}
	out.Image = e.expand(t.Container.Image)
	out.Command = e.command()
	for path, scalar := range t.Container.Files {
		if out.Files == nil {
			out.Files = map[string]string{}
		}
		out.Files[path] = e.expand(scalar)
	}
	for _, v := range t.Container.Volumes {
		if ref := e.values[v.Secret].Secret; ref != nil {
			out.Secrets = append(out.Secrets, Secret{Ref: *ref, Path: v.Path, As: v.As})
		}
	}
	return out, e.err
}

// setEnv sets one variable, over an earlier one of its name.
func (r *Rendered) setEnv(name string, v param.Value) {
	delete(r.Env, name)
	r.Secrets = slices.DeleteFunc(r.Secrets, func(s Secret) bool { return s.Env == name })
	switch {
	case v.Secret != nil:
		r.Secrets = append(r.Secrets, Secret{Ref: *v.Secret, Env: name})
	case v.Text != nil:
		r.Env[name] = *v.Text
	}
}

// command is the arguments of the container's process.
func (e *expander) command() []string {
	var argv []string
	for _, scalar := range e.template.Container.Command {
		argv = append(argv, e.expand(scalar))
	}
	for _, a := range e.template.Container.Args {
		switch {
		case a.When != "" && !e.holds(a.When), a.Unless != "" && e.holds(a.Unless):
		case a.Each != "":
			argv = append(argv, e.each(a)...)
		case !e.idle(a.Text):
			argv = append(argv, e.expand(a.Text))
		}
	}
	return argv
}

// holds tells whether a parameter says something other than false.
func (e *expander) holds(name string) bool {
	v := e.values[name]
	return e.system[name] != "" || !v.Empty() && v.String() != "false"
}

// each makes an argument of every item that is not empty.
func (e *expander) each(a Arg) []string {
	text := a.Text
	if text == "" {
		text = a.Flag + "=${" + a.Each + "}"
	}
	v := e.values[a.Each]
	defer func() { e.values[a.Each] = v }()
	var argv []string
	for _, item := range items(v) {
		e.values[a.Each] = param.TextValue(item)
		argv = append(argv, e.expand(text))
	}
	return argv
}

// items is what a List or Map holds and is not empty, KEY=ITEM of a Map.
func items(v param.Value) []string {
	var all []string
	for _, item := range v.List {
		if !item.Empty() {
			all = append(all, item.String())
		}
	}
	for _, key := range slices.Sorted(maps.Keys(v.Map)) {
		all = append(all, key+"="+v.Map[key].String())
	}
	return all
}

// idle tells whether a scalar has references and none of them has a value.
func (e *expander) idle(scalar string) bool {
	refs := 0
	for _, ref := range reference.FindAllString(scalar, -1) {
		if escaped(ref) {
			continue
		}
		if name := nameOf(ref); e.system[name] != "" || !e.values[name].Empty() {
			return false
		}
		refs++
	}
	return refs > 0
}

// reference is ${NAME}, or $${NAME} where that is meant.
var reference = regexp.MustCompile(`\$?\$\{[^}]*\}`)

func escaped(ref string) bool  { return ref[1] == '$' }
func nameOf(ref string) string { return ref[2 : len(ref)-1] }

// expander replaces ${NAME} and keeps the first error.
type expander struct {
	template Template
	values   map[string]param.Value
	system   map[string]string
	err      error
}

func (e *expander) expand(scalar string) string {
	return reference.ReplaceAllStringFunc(scalar, func(ref string) string {
		if escaped(ref) {
			return ref[1:]
		}
		name := nameOf(ref)
		if text, ok := e.system[name]; ok {
			return text
		}
		i := slices.IndexFunc(e.template.Params, func(d param.Decl) bool { return d.Name == name })
		switch v := e.values[name]; {
		case i < 0:
			e.fail(fmt.Errorf("template %s: %s stands for no parameter of it", e.template.Ref(), ref))
		case v.Text != nil:
			return *v.Text
		case e.template.Params[i].Type == param.List, e.template.Params[i].Type == param.Map:
			e.fail(fmt.Errorf("template %s: %s is a %s and cannot stand in a text", e.template.Ref(), ref, e.template.Params[i].Type))
		}
		return ""
	})
}

func (e *expander) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}
