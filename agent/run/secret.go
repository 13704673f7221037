package run

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/triggers"
)

// SecretPolicy says who may use one of the operator's secrets. An empty list allows all, but for Events.
type SecretPolicy struct {
	Repositories []string // globs over owner/name
	Events       []string // kinds of event; none: push and tag, so never a request's
	Refs         []string // globs over the names of branches and tags, or over whole refs where they begin with refs/
	Templates    []string // names without a version
}

// Allows tells why a task of this template may not use the secret for this event, nil if it may. The text is for the
// author of the pipeline.
func (p SecretPolicy) Allows(e triggers.Event, t template.Template) error {
	events := p.Events
	if len(events) == 0 {
		events = []string{string(triggers.Push), string(triggers.Tag)}
	}
	switch {
	case !e.Trusted():
		return errors.New("nothing from a fork is given a secret")
	case !slices.Contains(events, string(e.Kind)):
		return fmt.Errorf("it is given to %s, not to %s", strings.Join(events, ", "), e.Kind)
	case !matchAny(p.Repositories, e.Repo.Name):
		return fmt.Errorf("it is not for repository %s", e.Repo.Name)
	case len(p.Refs) > 0 && !slices.ContainsFunc(p.Refs, func(glob string) bool { return matchRef(glob, e) }):
		return fmt.Errorf("it is given to %s, not to %s", strings.Join(p.Refs, ", "), e.Ref)
	case len(p.Templates) > 0 && !slices.Contains(p.Templates, t.Name):
		return fmt.Errorf("it is given to tasks of %s, not of %s", strings.Join(p.Templates, ", "), t.Name)
	}
	return nil
}

// matchRef tells whether a glob is for the ref of an event. A name is that of a branch and of a tag: who may push tags
// and not to `main` can push a tag `main`, and only refs/heads/main tells them apart.
func matchRef(glob string, e triggers.Event) bool {
	if strings.HasPrefix(glob, "refs/") {
		return doublestar.MatchUnvalidated(glob, e.Ref)
	}
	return doublestar.MatchUnvalidated(glob, cmp.Or(e.Tag, e.Branch))
}

func matchAny(globs []string, name string) bool {
	return len(globs) == 0 || slices.ContainsFunc(globs, func(g string) bool { return doublestar.MatchUnvalidated(g, name) })
}

// secrets checks the secrets that a setting refers to against what the operator allows. Where nobody knows the
// operator's secrets (check, exec) nothing is refused.
func (k *compiler) secrets(s param.Setting, pos param.Pos, tmpl template.Template) {
	if k.Secrets == nil {
		return
	}
	for _, ref := range s.Value.Secrets() {
		policy, ok := k.Secrets[ref.Name]
		if !ok {
			k.fail(pos, "there is no secret `%s`: the operator of Millrace adds it under `secrets`", ref.Name)
		} else if err := policy.Allows(k.Event, tmpl); err != nil {
			k.fail(pos, "secret `%s` cannot be used here: %s", ref.Name, err)
		}
	}
}
