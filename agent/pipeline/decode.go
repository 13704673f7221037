package pipeline

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/triggers"
)

// What a definition may hold. A file past a bound is refused with a Problem that names the bound.
const (
	maxFile     = 256 << 10 // bytes
	maxText     = 64 << 10  // bytes of one text
	maxNodes    = 20_000    // YAML nodes once aliases are followed
	maxTexts    = 1 << 20   // bytes of all texts once aliases are followed
	maxDepth    = 50        // levels of nesting
	maxStages   = 50
	maxTasks    = 200 // in the whole pipeline
	maxParams   = 100 // in one place
	maxPatterns = 50  // in one filter
	maxProblems = 100 // that are told at once
	maxRetries  = 10  // of a task
)

// Decode reads a definition strictly and reports all its problems at once, in the order of the file. The Pipeline of a
// file with problems is good for its Name only; without a legal name in the file that is made from the file's.
func Decode(f triggers.File) (Pipeline, []Problem) {
	d := &decoder{file: f.Path, names: map[string]bool{}}
	p := Pipeline{File: f.Path}
	if root := d.parse(f.Data); root != nil {
		d.pipeline(&p)(root)
	} else {
		p.Name = glimpse(f.Data)
	}
	if p.Name == "" {
		p.Name = FileName(f.Path)
	}
	return p, Quote(f, d.sorted())
}

// Quote returns the problems with the line that each is about.
func Quote(f triggers.File, problems []Problem) []Problem {
	const longest = 200
	lines := strings.Split(strings.TrimPrefix(string(f.Data), "\ufeff"), "\n")
	quoted := slices.Clone(problems)
	for i, p := range quoted {
		if p.Pos.Line < 1 || p.Pos.Line > len(lines) {
			continue
		}
		line := strings.TrimRight(lines[p.Pos.Line-1], "\r")
		quoted[i].Quote = strings.ToValidUTF8(line[:min(len(line), longest)], "")
	}
	return quoted
}

// sorted returns the problems in the order of the file, no more than people read.
func (d *decoder) sorted() []Problem {
	slices.SortStableFunc(d.problems, func(a, b Problem) int {
		return cmp.Or(a.Pos.Line-b.Pos.Line, a.Pos.Column-b.Pos.Column)
	})
	all := slices.Compact(d.problems)
	if more := len(all) - maxProblems; more > 0 {
		last := all[maxProblems]
		all = append(all[:maxProblems:maxProblems], d.problem(last.Pos, "%d more problems from here on are not shown", more))
	}
	return all
}

var (
	nameLine     = regexp.MustCompile(`(?m)^name:[ \t]*["']?([A-Za-z0-9._-]{1,64})["']?[ \t]*(?:#.*)?\r?$`)
	notInName    = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
	validName    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	validTask    = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
	validUses    = regexp.MustCompile(`^(?:\./)?[A-Za-z0-9._-]{1,64}(?:@[A-Za-z0-9._-]{1,32})?$`)
	validOutput  = regexp.MustCompile(`^([a-z0-9-]{1,40})\.([A-Z][A-Z0-9_]{0,63})$`)
	validSecret  = regexp.MustCompile(`^([a-z0-9-]{1,40})(?:/([A-Za-z0-9._-]{1,253}))?$`)
	validVisible = regexp.MustCompile(`^[\pL\pM\pN\pP\pS ]{1,64}$`)
)

// glimpse finds the name in a file that is not YAML, so that its failure can be told under the name that it has.
func glimpse(data []byte) string {
	if m := nameLine.FindSubmatch(data[:min(len(data), maxFile)]); m != nil {
		return string(m[1])
	}
	return ""
}

// FileName is the name of a pipeline whose file does not say one: that of the file.
func FileName(file string) string {
	base := path.Base(file)
	base = strings.TrimPrefix(strings.TrimSuffix(base, path.Ext(base)), ".")
	base = notInName.ReplaceAllString(base, "-")
	return cmp.Or(base[:min(len(base), 64)], "pipeline")
}

func (d *decoder) problem(pos param.Pos, format string, args ...any) Problem {
	return Problem{File: d.file, Pos: pos, Message: fmt.Sprintf(format, args...)}
}
