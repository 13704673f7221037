package pipeline

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace-ci/millrace/triggers"
)

// Match decides whether the pipeline wants the event, and says by which condition and value. Patterns are globs over
// whole values, in which * ends at a slash and ** does not, or anchored regular expressions between slashes (RE2). One
// after ! excludes. The last pattern that matches a value decides; a list that only excludes begins with everything.
// A push must pass its branches, and with paths at least one changed file must. A tag must pass its names. A request
// is filtered by the branch that it is to be merged into and by action. Nothing asks for deletions so far, and nothing
// runs for an event that is not trusted.
func Match(p Pipeline, e triggers.Event) Explanation {
	x := Explanation{Pipeline: p.Name, File: p.File}
	if !e.Trusted() {
		x.Reason = "from a fork: not trusted, so nothing of it is run"
		return x
	}
	switch {
	case e.Kind == triggers.Push && p.On.Push != nil:
		p.matchPush(&x, e)
	case e.Kind == triggers.Tag && p.On.Tag != nil:
		p.matchTag(&x, e)
	case e.Kind == triggers.PullRequest && p.On.PullRequest != nil:
		p.matchRequest(&x, e)
	case e.Kind == triggers.Deletion:
		x.Reason = "a deletion, and nothing asks for deletions"
	default:
		x.Reason = p.On.elsewhere(e.Kind)
	}
	return x
}

func (p Pipeline) matchPush(x *Explanation, e triggers.Event) {
	f := p.On.Push
	subject := "push to " + show(e.Branch)
	ok, why := filter("branches", f.Branches, e.Branch)
	switch {
	case !ok:
		x.Reason = "branch " + quote(e.Branch) + why
	default:
		x.Reason = subject + cmp.Or(why, ", and every branch is asked for")
		p.matchPaths(x, f.Paths, e)
	}
}

func (p Pipeline) matchTag(x *Explanation, e triggers.Event) {
	ok, why := filter("names", p.On.Tag.Names, e.Tag)
	x.Matched = ok
	if ok {
		x.Reason = "tag " + show(e.Tag) + cmp.Or(why, ", and every tag is asked for")
		return
	}
	x.Reason = "tag " + quote(e.Tag) + why
}

// defaultActions are those that change what a request would merge.
var defaultActions = []string{"opened", "synchronize", "reopened"}

func (p Pipeline) matchRequest(x *Explanation, e triggers.Event) {
	f := p.On.PullRequest
	var r triggers.Request
	if e.Request != nil {
		r = *e.Request
	}
	list, actions := "actions", f.Actions
	if len(actions) == 0 {
		list, actions = "the default actions", defaultActions
	}
	into, why := filter("branches", f.Branches, r.TargetBranch)
	acts, whyNot := filter(list, actions, r.Action)
	switch {
	case !into:
		x.Reason = "target branch " + quote(r.TargetBranch) + why
	case !acts:
		x.Reason = "action " + quote(r.Action) + whyNot
	default:
		x.Reason = "request " + strconv.Itoa(r.Number) + " into " + show(r.TargetBranch) +
			cmp.Or(why, ", and every target branch is asked for")
		p.matchPaths(x, f.Paths, e)
	}
}

// maxComparisons bounds how often a changed file is compared with a pattern.
const maxComparisons = 100_000

// matchPaths decides by the changed files what everything else has let through. What is not known filters nothing.
func (p Pipeline) matchPaths(x *Explanation, texts []string, e triggers.Event) {
	x.Matched = true
	files, isNew := e.Files, e.Kind == triggers.Push && e.Before == ""
	switch {
	case len(texts) == 0:
		return
	case files == nil && isNew:
		x.Reason += "; the branch is new, so nobody can say what changed, and every path filter matches"
		return
	case files == nil:
		x.Reason += "; the forge does not list the changed files, so every path filter matches"
		return
	case len(*files) > maxComparisons/len(texts):
		x.Reason += fmt.Sprintf("; %d files changed, more than the %d that are compared, so every path filter matches",
			len(*files), maxComparisons/len(texts))
		return
	}
	all := compileAll(texts)
	for _, file := range *files {
		if ok, by := all.choose(file); ok {
			x.Reason += "; " + show(file) + reason(ok, by, "paths", texts)
			return
		}
	}
	x.Matched, x.Required = false, p.Required
	x.Reason = "no changed file matches paths " + quoteAll(texts) + " (" + some(*files) + ")"
}

// filter says whether a list of patterns lets a value through, and why, to be read after the value. An empty list lets
// everything through and has nothing to say.
func filter(list string, texts []string, value string) (bool, string) {
	if len(texts) == 0 {
		return true, ""
	}
	ok, by := compileAll(texts).choose(value)
	return ok, reason(ok, by, list, texts)
}

func reason(ok bool, by *pattern, list string, texts []string) string {
	switch {
	case ok && by != nil:
		return " matches " + list + " " + quote(by.text)
	case ok:
		return " is not excluded by " + list + " " + quoteAll(texts)
	case by != nil:
		return " is excluded by " + quote(by.text)
	}
	return " matches none of " + list + " " + quoteAll(texts)
}

// elsewhere says what the pipeline asks for instead of a kind.
func (on On) elsewhere(kind triggers.Kind) string {
	var wants []string
	if on.Push != nil {
		wants = append(wants, string(triggers.Push))
	}
	if on.Tag != nil {
		wants = append(wants, string(triggers.Tag))
	}
	if on.PullRequest != nil {
		wants = append(wants, string(triggers.PullRequest))
	}
	happened := "a " + strings.ReplaceAll(string(kind), "_", " ")
	if len(wants) == 0 {
		return happened + ", and this pipeline asks for no event: its `on` is missing or empty"
	}
	return happened + ", and this pipeline asks only for " + strings.Join(wants, ", ")
}
