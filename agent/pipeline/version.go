package pipeline

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/triggers"
)

// DefaultVersion is the version of a pipeline that says none: v20230202-master-bfacd86c.
const DefaultVersion = "v{date}-{branch}-{commit}"

const (
	maxVersion  = 128 // bytes of an image's tag
	maxBranch   = 64  // bytes of a branch in a version, so that the commit behind it is not cut off
	shortCommit = 8   // bytes of a commit in a version
)

var (
	blank     = regexp.MustCompile(`\{([^{}]*)\}`)
	notInTags = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)
)

// blanks are what {name} in a version or a group stands for.
var blanks = map[string]func(triggers.Event) string{
	"branch": func(e triggers.Event) string { return e.Branch },
	"commit": func(e triggers.Event) string { return e.After },
	"date":   func(e triggers.Event) string { return e.Time.UTC().Format("20060102") },
	"tag":    func(e triggers.Event) string { return e.Tag },
	"time":   func(e triggers.Event) string { return e.Time.UTC().Format("150405") },
}

// fill puts the event's words in the place of their names, each as it is made there.
func fill(pattern string, e triggers.Event, made func(name, word string) string) string {
	return blank.ReplaceAllStringFunc(pattern, func(braced string) string {
		name := braced[1 : len(braced)-1]
		if word := blanks[name]; word != nil {
			return made(name, word(e))
		}
		return ""
	})
}

// versioned makes a word fit for a version.
func versioned(name, word string) string {
	switch name {
	case "branch":
		return cut(legal(word), maxBranch)
	case "commit":
		return cut(word, shortCommit)
	}
	return legal(word)
}

// VersionOf names what a run of the pipeline for this event builds. It is a legal tag of an image
// ([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}, distribution/reference). Where a tag was pushed, that stands in the place of all
// the names in the pattern, unless the pattern asks for {tag} itself. What is written before the first name is only
// added if it is missing.
func (p Pipeline) VersionOf(e triggers.Event) string {
	pattern := cmp.Or(p.Version, DefaultVersion)
	first := blank.FindStringIndex(pattern)
	if first == nil {
		return tag(pattern, e)
	}
	prefix, rest := pattern[:first[0]], pattern[first[0]:]
	if e.Tag != "" && !strings.Contains(pattern, "{tag}") {
		rest = "{tag}"
	}
	rest = fill(rest, e, versioned)
	if strings.HasPrefix(rest, prefix) {
		prefix = ""
	}
	return tag(prefix+rest, e)
}

// tag makes a legal tag of a text, and of the commit where nothing of the text is legal.
func tag(text string, e triggers.Event) string {
	return cut(cmp.Or(begun(text), begun(cut(e.After, shortCommit)), "none"), maxVersion)
}

// begun is what is legal of a text, from the first character that a tag may begin with.
func begun(text string) string { return strings.TrimLeft(legal(text), ".-") }

func legal(s string) string { return notInTags.ReplaceAllString(s, "-") }

func cut(s string, most int) string { return s[:min(len(s), most)] }

// version reads the pattern of a version.
func (d *decoder) version(dst *string) read {
	return func(n *yaml.Node) {
		pattern, ok := d.scalar(n, "`version`")
		if !ok {
			return
		}
		if err := checkBlanks("`version`", pattern); err != nil {
			d.fail(n, "%s", err)
			return
		}
		*dst = pattern
	}
}

// checkBlanks refuses a name that stands for nothing. what is the key that the pattern is of.
func checkBlanks(what, pattern string) error {
	known := slices.Sorted(maps.Keys(blanks))
	for _, m := range blank.FindAllStringSubmatch(pattern, -1) {
		if blanks[m[1]] == nil {
			hint := cmp.Or(param.DidYouMean(m[1], known), "; there is "+strings.Join(known, ", "))
			return fmt.Errorf("%s knows no {%.40s}%s", what, m[1], hint)
		}
	}
	if strings.ContainsAny(blank.ReplaceAllString(pattern, ""), "{}") {
		return fmt.Errorf("%s has a brace that belongs to no {name}; there is %s", what, strings.Join(known, ", "))
	}
	return nil
}
