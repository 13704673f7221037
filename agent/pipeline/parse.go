package pipeline

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-ci/millrace/agent/param"
)

// parse makes nodes of a file's bytes, within the bounds. It returns nil if there is nothing to read on with.
func (d *decoder) parse(data []byte) *yaml.Node {
	start := param.Pos{Line: 1, Column: 1}
	if len(data) > maxFile {
		return d.refuse(start, "the file has %d bytes; at most %d are read", len(data), maxFile)
	}
	if at := odd(data); at >= 0 {
		return d.refuse(placeOf(data, at), "a definition is UTF-8 text without control characters")
	}
	var doc, next yaml.Node
	in := yaml.NewDecoder(bytes.NewReader(data))
	switch err := in.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return d.refuse(start, "the file is empty; a pipeline has at least `stages`")
	case err != nil:
		return d.refuseSyntax(err, data)
	}
	switch err := in.Decode(&next); {
	case err == nil:
		return d.refuse(position(&next), "one file is one pipeline: move what follows `---` to a file of its own")
	case !errors.Is(err, io.EOF):
		return d.refuseSyntax(err, data)
	}
	if !d.bounded(&doc) {
		return nil
	}
	return doc.Content[0]
}

func (d *decoder) refuse(pos param.Pos, format string, args ...any) *yaml.Node {
	d.problems = append(d.problems, d.problem(pos, format, args...))
	return nil
}

// odd finds the first byte that no text holds, -1 if there is none.
func odd(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 || unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' {
			return i
		}
		i += size
	}
	return -1
}

var (
	errorLine   = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(?s)(.*)$`)
	errorAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
	tabIndent   = regexp.MustCompile(`(?m)^ *\t`)
)

// refuseSyntax reports what the YAML parser says, where it says it. The parser names only a line, and not the first.
func (d *decoder) refuseSyntax(err error, data []byte) *yaml.Node {
	m := errorLine.FindStringSubmatch(err.Error())
	text := m[2]
	line, _ := strconv.Atoi(m[1])
	if line > 0 && strings.HasPrefix(text, "did not find expected") {
		line++ // the parser counts these from 0
	}
	pos := param.Pos{Line: max(line, 1), Column: 1}
	if alias := errorAnchor.FindStringSubmatch(text); alias != nil {
		pos = placeOf(data, bytes.Index(data, []byte("*"+alias[1])))
	}
	if tab := tabIndent.FindIndex(data); tab != nil && strings.Contains(text, "tab") {
		pos, text = placeOf(data, tab[1]-1), "a tab in the indentation: use spaces"
	}
	pos.Line = min(pos.Line, 1+bytes.Count(bytes.TrimRight(data, "\n"), []byte("\n")))
	return d.refuse(pos, "this is not YAML: %s", text)
}

// placeOf is the place of the byte at offset.
func placeOf(data []byte, offset int) param.Pos {
	before := data[:max(offset, 0)]
	return param.Pos{
		Line:   1 + bytes.Count(before, []byte("\n")),
		Column: 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]),
	}
}

// bounded follows every alias once and tells whether what comes out is within bounds. It stops where it is not, so that
// a file whose aliases multiply, or hold themselves, costs no more than one of the largest legal size.
func (d *decoder) bounded(doc *yaml.Node) bool {
	nodes, texts := 0, 0
	var walk func(n *yaml.Node, depth int) bool
	walk = func(n *yaml.Node, depth int) bool {
		n = follow(n)
		nodes, texts = nodes+1, texts+len(n.Value)
		switch {
		case depth > maxDepth:
			return d.fail(n, "this is nested deeper than %d levels, or an alias stands inside what it names", maxDepth)
		case nodes > maxNodes:
			return d.fail(n, "with every alias followed, the file has more than %d values", maxNodes)
		case texts > maxTexts:
			return d.fail(n, "with every alias followed, the file has more than %d bytes of text", maxTexts)
		case len(n.Value) > maxText:
			return d.fail(n, "a text of %d bytes; at most %d are taken", len(n.Value), maxText)
		case n.Kind != yaml.DocumentNode && !coreTags[n.ShortTag()]:
			return d.fail(n, "the tag %.40s means nothing here: write the value without it", n.ShortTag())
		}
		for _, child := range n.Content {
			if !walk(child, depth+1) {
				return false
			}
		}
		return true
	}
	return walk(doc, 0)
}

// coreTags are the types that plain YAML values have. The last is that of the key <<, which is refused as a key.
var coreTags = map[string]bool{
	"!!str": true, "!!int": true, "!!float": true, "!!bool": true, "!!null": true, "!!timestamp": true,
	"!!map": true, "!!seq": true, "!!merge": true,
}

// follow returns what an alias stands for, and any other node as it is.
func follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func position(n *yaml.Node) param.Pos { return param.Pos{Line: n.Line, Column: n.Column} }
