package param

import (
	"fmt"
	"slices"
)

// Defaults is the layer beneath all others: what the declarations themselves say.
func Defaults(origin string, decls []Decl) Layer {
	layer := Layer{Origin: origin}
	for _, d := range decls {
		if d.Default != nil {
			layer.Given = append(layer.Given, Given{Name: d.Name, Value: *d.Default})
		}
	}
	return layer
}

// DefaultsIn is the layer over Defaults where something is the case.
func DefaultsIn(c Case, origin string, decls []Decl) Layer {
	layer := Layer{Origin: origin}
	for _, d := range decls {
		if v, ok := d.DefaultIn[c]; ok {
			layer.Given = append(layer.Given, Given{Name: d.Name, Value: v})
		}
	}
	return layer
}

// Resolve gives each declared parameter its value. Layers go from far to near and the nearest wins. An empty value does
// not override, null clears what is beneath it, and a read-only parameter that has a value keeps it. What is given and
// not declared is passed over: the caller knows whether that is a mistake. Parameters without a value are left out.
// Settings have the order of decls. A Problem whose Pos is zero is nobody's line: something required was not given.
func Resolve(decls []Decl, layers ...Layer) ([]Setting, []Problem) {
	var settings []Setting
	var problems []Problem
	for _, d := range decls {
		s, pos := nearest(d, layers)
		if s.Value.Empty() {
			if d.Required {
				problems = append(problems, Problem{pos, fmt.Sprintf("parameter `%s` is required and has no value", d.Name)})
			}
			continue
		}
		v, err := d.Check(s.Value)
		if err != nil {
			problems = append(problems, Problem{pos, err.Error()})
			continue
		}
		s.Value = v
		settings = append(settings, s)
	}
	return settings, problems
}

// nearest finds the value that counts, and who gave it where.
func nearest(d Decl, layers []Layer) (Setting, Pos) {
	s := Setting{Name: d.Name, Use: d.Use}
	var pos Pos
	for _, l := range layers {
		i := slices.IndexFunc(l.Given, func(g Given) bool { return g.Name == d.Name })
		if i < 0 || d.ReadOnly && !s.Value.Empty() {
			continue
		}
		switch g := l.Given[i]; {
		case g.Value.Null:
			s.Value, s.Origin, pos = Value{}, "", g.Pos
		case !g.Value.Empty():
			s.Value, s.Origin, pos = g.Value, l.Origin, g.Pos
		case s.Value.Empty():
			pos = g.Pos // who named it and said nothing
		}
	}
	return s, pos
}
