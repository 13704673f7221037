package pipeline

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-ci/millrace/agent/param"
)

// decoder walks a file's nodes and collects problems. It never stops at one.
type decoder struct {
	file     string
	problems []Problem
	names    map[string]bool // of tasks, stages and parameters, to find the second of a name
	tasks    int
}

// read takes one node in. The methods below make reads that fill what they are given, and fields.go puts them together.
type read func(n *yaml.Node)

// keys is what a mapping may hold.
type keys map[string]read

// fail reports a problem at n and returns false.
func (d *decoder) fail(n *yaml.Node, format string, args ...any) bool {
	d.problems = append(d.problems, d.problem(position(n), format, args...))
	return false
}

// pairs calls each for every key and value of a mapping whose keys are texts that stand once.
func (d *decoder) pairs(n *yaml.Node, what string, each func(key, value *yaml.Node)) bool {
	if n.Kind != yaml.MappingNode {
		return d.fail(n, "%s is a mapping (`key: value`), not %s", what, kind(n))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := follow(n.Content[i]), follow(n.Content[i+1])
		switch {
		case key.ShortTag() == "!!merge":
			d.fail(key, "`<<` is not known here: write the keys out, or name a whole value with an alias")
		case key.Kind != yaml.ScalarNode || isNull(key):
			d.fail(key, "a key is a text, not %s", kind(key))
		case seen[key.Value]:
			d.fail(key, "`%.80s` stands here a second time: keep one", key.Value)
		default:
			seen[key.Value] = true
			each(key, value)
		}
	}
	return true
}

// mapping reads a mapping with known keys. what names it with its article: "a task".
func (d *decoder) mapping(n *yaml.Node, what string, known keys, required ...string) {
	given := map[string]bool{}
	ok := d.pairs(n, what, func(key, value *yaml.Node) {
		given[key.Value] = true
		if take, ok := known[key.Value]; ok {
			take(value)
			return
		}
		names := slices.Sorted(maps.Keys(known))
		if meant := param.Nearest(key.Value, names); meant != "" {
			given[meant] = true // one mistake, one problem
			d.fail(key, "unknown key `%s`, did you mean `%s`?", key.Value, meant)
			return
		}
		d.fail(key, "unknown key `%.80s`; %s takes %s", key.Value, what, strings.Join(names, ", "))
	})
	for _, name := range required {
		if ok && !given[name] {
			d.fail(n, "%s needs `%s`", what, name)
		}
	}
}

// list reads a list of at least one item into dst. item makes the read of one.
func list[T any](d *decoder, dst *[]T, what string, most int, item func(*T) read) read {
	return func(n *yaml.Node) {
		switch {
		case n.Kind != yaml.SequenceNode:
			d.fail(n, "%s is a list (`- ...`), not %s", what, kind(n))
		case len(n.Content) == 0:
			d.fail(n, "%s is empty: write at least one", what)
		case len(n.Content) > most:
			d.fail(n, "%s has %d items; at most %d are taken", what, len(n.Content), most)
		default:
			*dst = make([]T, len(n.Content))
			for i, c := range n.Content {
				item(&(*dst)[i])(follow(c))
			}
		}
	}
}

// scalar returns a single value as it is written.
func (d *decoder) scalar(n *yaml.Node, what string) (string, bool) {
	switch {
	case isNull(n):
		return "", d.fail(n, "%s has no value", what)
	case n.Kind != yaml.ScalarNode:
		return "", d.fail(n, "%s is a text, not %s", what, kind(n))
	}
	return n.Value, true
}

// text reads a text of a form that wants describes.
func (d *decoder) text(dst *string, what string, form *regexp.Regexp, wants string) read {
	return func(n *yaml.Node) {
		s, ok := d.scalar(n, what)
		switch {
		case !ok:
		case !form.MatchString(s):
			d.fail(n, "%s is %s, not %.80q", what, wants, s)
		default:
			*dst = s
		}
	}
}

// once is text for a name that may stand once in a file among its kind.
func (d *decoder) once(dst *string, what string, form *regexp.Regexp, wants string) read {
	return func(n *yaml.Node) {
		d.text(dst, what, form, wants)(n)
		if id := what + " " + *dst; *dst != "" {
			if d.names[id] {
				d.fail(n, "%s is unique in a file, and `%s` stands here a second time", what, *dst)
			}
			d.names[id] = true
		}
	}
}

func (d *decoder) flag(dst *bool, what string) read {
	return func(n *yaml.Node) {
		if n.ShortTag() != "!!bool" {
			d.fail(n, "%s is true or false, not %s", what, kind(n))
			return
		}
		*dst = strings.EqualFold(n.Value, "true")
	}
}

// count reads a whole number.
func (d *decoder) count(dst *int, what string, least, most int) read {
	return func(n *yaml.Node) {
		v, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || v < least || v > most {
			d.fail(n, "%s is a number from %d to %d, not %s", what, least, most, kind(n))
			return
		}
		*dst = v
	}
}

func (d *decoder) duration(dst *time.Duration, what string) read {
	const longest = 30 * 24 * time.Hour
	return func(n *yaml.Node) {
		s, ok := d.scalar(n, what)
		if !ok {
			return
		}
		v, err := time.ParseDuration(s)
		if err != nil || v <= 0 || v > longest {
			d.fail(n, "%s is a duration such as 90s, 30m or 2h, up to 720h, not %.80q", what, s)
			return
		}
		*dst = v
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// kind says what a node is, in words for people.
func kind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "nothing"
	}
	return fmt.Sprintf("%.80q", n.Value)
}
