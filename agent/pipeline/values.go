package pipeline

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-ci/millrace/agent/param"
)

func (d *decoder) param(p *Param) read {
	return func(n *yaml.Node) {
		p.Pos = position(n)
		d.mapping(n, "a parameter", keys{
			"name":        func(n *yaml.Node) { d.paramName(n, &p.Name) },
			"value":       func(n *yaml.Node) { p.Value = d.value(n) },
			"description": d.prose(&p.Description, "`description`"),
			"required":    d.flag(&p.Required, "`required`"),
		}, "name")
	}
}

func (d *decoder) prose(dst *string, what string) read {
	return func(n *yaml.Node) { *dst, _ = d.scalar(n, what) }
}

// with reads the values that a stage or a task gives to parameters.
func (d *decoder) with(dst *[]param.Given) read {
	return func(n *yaml.Node) {
		d.pairs(n, "`with`", func(key, value *yaml.Node) {
			g := param.Given{Pos: position(key)}
			if d.paramForm(key, &g.Name) {
				g.Value = d.value(value)
				*dst = append(*dst, g)
			}
		})
		if len(*dst) > maxParams {
			d.fail(n, "`with` has %d parameters; at most %d are taken", len(*dst), maxParams)
		}
	}
}

// paramName reads a parameter's name that may stand once in `params`.
func (d *decoder) paramName(n *yaml.Node, dst *string) {
	if !d.paramForm(n, dst) {
		return
	}
	id := "param " + *dst
	if d.names[id] {
		d.fail(n, "parameter `%s` stands here a second time: keep one", *dst)
	}
	d.names[id] = true
}

func (d *decoder) paramForm(n *yaml.Node, dst *string) bool {
	s, ok := d.scalar(n, "a parameter's name")
	if ok && !param.ValidName(s) {
		return d.fail(n, "a parameter's name is a letter or `_`, then up to 63 letters, digits and `_`, not %.80q", s)
	}
	*dst = s
	return ok
}

// value reads a parameter's value: a text, number, boolean or null, a list or mapping of those, {output: TASK.NAME} or
// {secret: NAME/KEY}.
func (d *decoder) value(n *yaml.Node) param.Value {
	switch {
	case isNull(n):
		return param.Value{Null: true}
	case n.Kind == yaml.SequenceNode:
		v := param.Value{List: []param.Value{}}
		for _, item := range n.Content {
			v.List = append(v.List, d.item(follow(item)))
		}
		return v
	case n.Kind == yaml.MappingNode && !isReference(n):
		v := param.Value{Map: map[string]param.Value{}}
		d.pairs(n, "a value", func(key, value *yaml.Node) { v.Map[key.Value] = d.item(value) })
		return v
	}
	return d.item(n)
}

// item reads a value inside a list or a mapping, or one that is neither.
func (d *decoder) item(n *yaml.Node) param.Value {
	switch {
	case isReference(n) && follow(n.Content[0]).Value == "secret":
		return d.secret(follow(n.Content[1]))
	case isReference(n):
		return d.reference(follow(n.Content[1]))
	case isNull(n):
		d.fail(n, "an item has no value: write \"\" for an empty text")
	case n.Kind != yaml.ScalarNode:
		d.fail(n, "an item of a list or mapping is a text, not %s", kind(n))
	case strings.ContainsRune(n.Value, 0):
		d.fail(n, "a value cannot hold a NUL byte, which no program can be given")
	}
	return param.TextValue(n.Value)
}

// isReference tells whether a value is {output: ...} or {secret: ...}. A mapping with only that key is always one.
func isReference(n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		return false
	}
	key := follow(n.Content[0]).Value
	return key == "output" || key == "secret"
}

func (d *decoder) secret(n *yaml.Node) param.Value {
	s, ok := d.scalar(n, "`secret`")
	m := validSecret.FindStringSubmatch(s)
	if ok && m == nil {
		d.fail(n, "`secret` names one that the operator keeps, and the entry of it where that matters, such as harbor/config.json, not %.80q", s)
	}
	if m == nil {
		return param.Value{Null: true}
	}
	return param.Value{Secret: &param.SecretRef{Name: m[1], Key: m[2]}}
}

func (d *decoder) reference(n *yaml.Node) param.Value {
	s, ok := d.scalar(n, "`output`")
	m := validOutput.FindStringSubmatch(s)
	if ok && m == nil {
		d.fail(n, "`output` names an earlier task and what it wrote in capitals, such as image.IMAGE, not %.80q", s)
	}
	if m == nil {
		return param.Value{Null: true}
	}
	return param.Value{Output: &param.Output{Task: m[1], Name: m[2]}}
}
