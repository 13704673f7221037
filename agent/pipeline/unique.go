package pipeline

import "github.com/millrace-ci/millrace/agent/param"

// Names tells which pipelines of one commit have a name already, so that no two share a commit status. The zero Names
// is ready to use.
type Names struct {
	files map[string]string // by name
}

// Taken returns the problem of a pipeline whose name an earlier one has; it is called once for each, in order.
func (n *Names) Taken(p Pipeline) []Problem {
	if n.files == nil {
		n.files = map[string]string{}
	}
	if first, ok := n.files[p.Name]; ok {
		return []Problem{{
			File: p.File, Pos: param.Pos{Line: 1, Column: 1},
			Message: "the pipeline of " + first + " is called " + quote(p.Name) + " too: give this one another `name`",
		}}
	}
	n.files[p.Name] = p.File
	return nil
}
