package run_test

import (
	"testing"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/triggers"
)

// TestSecretsByRef tells branches, tags and requests of one name apart where the operator does.
func TestSecretsByRef(t *testing.T) {
	t.Parallel()
	push := triggers.Event{Kind: triggers.Push, Ref: "refs/heads/main", Branch: "main"}
	tag := triggers.Event{Kind: triggers.Tag, Ref: "refs/tags/main", Tag: "main"}
	other := triggers.Event{Kind: triggers.Push, Ref: "refs/heads/refs/heads/main", Branch: "refs/heads/main"}
	request := triggers.Event{Kind: triggers.PullRequest, Ref: "refs/pull/7/head", Branch: "main", Request: &triggers.Request{SourceBranch: "main"}}
	fork := request
	fork.Request = &triggers.Request{SourceBranch: "main", Fork: true}
	all := []string{"push", "tag", "pull_request"}
	for _, c := range []struct {
		refs  []string
		event triggers.Event
		want  bool
	}{
		{nil, push, true},
		{nil, fork, false},
		{[]string{"main"}, push, true},
		{[]string{"main"}, tag, true},
		{[]string{"main"}, other, false},
		{[]string{"main"}, request, true},
		{[]string{"main"}, fork, false},
		{[]string{"refs/heads/main"}, push, true},
		{[]string{"refs/heads/main"}, tag, false},
		{[]string{"refs/heads/main"}, other, false},
		{[]string{"refs/heads/main"}, request, false},
		{[]string{"refs/tags/*"}, tag, true},
		{[]string{"refs/tags/*"}, push, false},
		{[]string{"release", "refs/heads/**"}, push, true},
	} {
		err := run.SecretPolicy{Events: all, Refs: c.refs}.Allows(c.event, template.Template{Name: "script"})
		if (err == nil) != c.want {
			t.Errorf("given to %q: %s of %s: got %v, want allowed: %v", c.refs, c.event.Kind, c.event.Ref, err, c.want)
		}
	}
}
