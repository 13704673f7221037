package pipeline

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/millrace-ci/millrace/agent/param"
)

// Bounds that keep one comparison cheap whatever the pattern: doublestar tries each combination of {a,b} by itself, and
// a regular expression costs its size for every byte of the value.
const (
	maxPattern      = 256 // bytes
	maxCombinations = 64
	maxInstructions = 200 // of the machine that a regular expression becomes
)

// pattern is one line of a filter: a glob, or an anchored regular expression between slashes; after ! it excludes.
type pattern struct {
	text    string // as written
	exclude bool
	match   func(value string) bool
}

// compile reads a pattern. The error is for its author.
func compile(text string) (pattern, error) {
	p := pattern{text: text}
	body, exclude := strings.CutPrefix(text, "!")
	p.exclude = exclude
	switch {
	case body == "":
		return p, fmt.Errorf("%q is an empty pattern: leave it out", text)
	case len(text) > maxPattern:
		return p, fmt.Errorf("a pattern of %d bytes; at most %d are taken", len(text), maxPattern)
	case isRegexp(body):
		re, err := compileRegexp(`^(?:` + body[1:len(body)-1] + `)$`)
		if err != nil {
			return p, fmt.Errorf("%q %w", text, err)
		}
		p.match = re.MatchString
		return p, nil
	case !doublestar.ValidatePattern(body):
		return p, fmt.Errorf("%q is no glob: a `[` or `{` is not closed", text)
	case combinations(body) > maxCombinations:
		return p, fmt.Errorf("%q has more than %d combinations of {...}: write several patterns", text, maxCombinations)
	}
	p.match = func(value string) bool { return doublestar.MatchUnvalidated(body, value) }
	return p, nil
}

func compileRegexp(text string) (*regexp.Regexp, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, errors.New("is no regular expression as RE2 writes them")
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(prog.Inst) > maxInstructions {
		return nil, errors.New("is too large a regular expression: repeat less")
	}
	return regexp.Compile(text)
}

func isRegexp(body string) bool {
	return len(body) > 2 && body[0] == '/' && body[len(body)-1] == '/'
}

// combinations is how many ways the alternatives of a glob combine, or somewhat more where they nest.
func combinations(glob string) int {
	total, groups := 1, []int{}
	for i := 0; i < len(glob) && total <= maxCombinations; i++ {
		switch c := glob[i]; {
		case c == '\\':
			i++
		case c == '{':
			groups = append(groups, 1)
		case c == ',' && len(groups) > 0:
			groups[len(groups)-1]++
		case c == '}' && len(groups) > 0:
			total *= groups[len(groups)-1]
			groups = groups[:len(groups)-1]
		}
	}
	return total
}

// patterns is a filter.
type patterns []pattern

// compileAll reads patterns that Decode has found good. One that is not matches nothing.
func compileAll(texts []string) patterns {
	all := make(patterns, len(texts))
	for i, text := range texts {
		p, err := compile(text)
		if err != nil {
			p.match = func(string) bool { return false }
		}
		all[i] = p
	}
	return all
}

// choose tells whether the filter lets value through, and by which pattern: the last that matches decides. Without one,
// a filter that only excludes lets everything through and any other nothing.
func (ps patterns) choose(value string) (bool, *pattern) {
	ok := true
	for _, p := range ps {
		ok = ok && p.exclude
	}
	var by *pattern
	for i := range ps {
		if ps[i].match(value) {
			ok, by = !ps[i].exclude, &ps[i]
		}
	}
	return ok, by
}

func checkPattern(text string) error {
	_, err := compile(text)
	return err
}

var outside = regexp.MustCompile(`^(!?)(?:\.{0,2}/)+`)

// checkPath besides refuses what no path of a repository can match.
func checkPath(text string) error {
	if instead := outside.ReplaceAllString(text, "$1"); instead != text && !isRegexp(strings.TrimPrefix(text, "!")) {
		return fmt.Errorf("paths begin at the root of the repository: write %q, not %q", instead, text)
	}
	return checkPattern(text)
}

// checkAction besides refuses what looks like a slip of the pen. Forges may have actions that are not listed here.
func checkAction(text string) error {
	known := []string{"opened", "synchronize", "reopened", "closed", "labeled", "unlabeled", "edited", "ready_for_review"}
	if hint := param.DidYouMean(text, known); hint != "" && !slices.Contains(known, text) {
		return fmt.Errorf("unknown action `%s`%s", text, hint)
	}
	return checkPattern(text)
}
