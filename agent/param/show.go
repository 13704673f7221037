package param

import (
	"maps"
	"slices"
	"strings"
)

// String writes the value as a definition would, on one line where it is one.
func (v Value) String() string {
	switch {
	case v.Null:
		return "null"
	case v.Text != nil:
		return *v.Text
	case v.Output != nil:
		return "{output: " + v.Output.Task + "." + v.Output.Name + "}"
	case v.Secret != nil:
		return "{secret: " + v.Secret.String() + "}"
	case v.Map != nil:
		var entries []string
		for _, name := range slices.Sorted(maps.Keys(v.Map)) {
			entries = append(entries, name+": "+v.Map[name].String())
		}
		return "{" + strings.Join(entries, ", ") + "}"
	}
	var items []string
	for _, item := range v.List {
		items = append(items, item.String())
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// String writes the reference as a definition does: NAME or NAME/KEY.
func (r SecretRef) String() string {
	if r.Key == "" {
		return r.Name
	}
	return r.Name + "/" + r.Key
}
