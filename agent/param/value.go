package param

import (
	"fmt"
	"maps"
	"slices"
)

// TextValue is the value of a text.
func TextValue(s string) Value { return Value{Text: &s} }

// Empty tells whether the value says nothing: no text, or one without characters, and no item. Null says something.
func (v Value) Empty() bool {
	return !v.Null && v.Output == nil && v.Secret == nil && (v.Text == nil || *v.Text == "") && len(v.List) == 0 && len(v.Map) == 0
}

// Size is how many bytes of text the value has.
func (v Value) Size() int {
	size := 0
	if v.Text != nil {
		size += len(*v.Text)
	}
	for _, item := range v.List {
		size += item.Size()
	}
	for name, item := range v.Map {
		size += len(name) + item.Size()
	}
	return size
}

// Outputs lists the outputs of other tasks that the value refers to.
func (v Value) Outputs() []Output {
	var refs []Output
	if v.Output != nil {
		refs = append(refs, *v.Output)
	}
	for _, item := range v.List {
		refs = append(refs, item.Outputs()...)
	}
	for _, name := range slices.Sorted(maps.Keys(v.Map)) {
		refs = append(refs, v.Map[name].Outputs()...)
	}
	return refs
}

// Secrets lists the secrets that the value refers to.
func (v Value) Secrets() []SecretRef {
	var refs []SecretRef
	if v.Secret != nil {
		refs = append(refs, *v.Secret)
	}
	for _, item := range v.List {
		refs = append(refs, item.Secrets()...)
	}
	for _, name := range slices.Sorted(maps.Keys(v.Map)) {
		refs = append(refs, v.Map[name].Secrets()...)
	}
	return refs
}

// Fill returns the value with the outputs that it refers to in their place. outputs finds what a task of the run wrote.
func (v Value) Fill(outputs func(task, name string) (string, bool)) (Value, error) {
	if v.Output != nil {
		text, ok := outputs(v.Output.Task, v.Output.Name)
		if !ok {
			return Value{}, fmt.Errorf("task %s wrote no output %s", v.Output.Task, v.Output.Name)
		}
		return TextValue(text), nil
	}
	var err error
	if v.List != nil {
		v.List = slices.Clone(v.List)
		for i := range v.List {
			if v.List[i], err = v.List[i].Fill(outputs); err != nil {
				return Value{}, err
			}
		}
	}
	if v.Map != nil {
		v.Map = maps.Clone(v.Map)
		for name := range v.Map {
			if v.Map[name], err = v.Map[name].Fill(outputs); err != nil {
				return Value{}, err
			}
		}
	}
	return v, nil
}

// kind says what the value is, in words for people.
func (v Value) kind() string {
	switch {
	case v.Null:
		return "null"
	case v.Text != nil:
		return quote(*v.Text)
	case v.List != nil:
		return "a list"
	case v.Map != nil:
		return "a mapping"
	case v.Output != nil:
		return "an output"
	case v.Secret != nil:
		return "a secret"
	}
	return "nothing"
}

// quote shows a value in a message, cut where it gets long.
func quote(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		return fmt.Sprintf("%q...", string(r[:most]))
	}
	return fmt.Sprintf("%q", s)
}
