package pipeline_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/triggers"
)

func TestConcurrencyOf(t *testing.T) {
	t.Parallel()
	push := pushed("feature/x", "")
	push.Kind, push.Ref = triggers.Push, "refs/heads/feature/x"
	tag := pushed("", "v1")
	tag.Kind, tag.Ref = triggers.Tag, "refs/tags/v1"
	request := pushed("feature/x", "")
	request.Kind, request.Ref, request.Request = triggers.PullRequest, "refs/pull/7/head", &triggers.Request{Number: 7}
	full := pipeline.Concurrency{Group: "deploy", Limit: 3, WhenFull: "drop", MaxQueue: 5, WhenDeleted: "cancel_running"}
	tests := map[string]struct {
		says  pipeline.Concurrency
		event triggers.Event
		want  pipeline.Concurrency
	}{
		"nothing, push":    {pipeline.Concurrency{}, push, pipeline.Concurrency{Group: "build refs/heads/feature/x", Limit: 1, WhenFull: "queue", MaxQueue: 20}},
		"nothing, tag":     {pipeline.Concurrency{}, tag, pipeline.Concurrency{Group: "build refs/tags/v1", Limit: 1, WhenFull: "queue", MaxQueue: 20}},
		"nothing, request": {pipeline.Concurrency{}, request, pipeline.Concurrency{Group: "build refs/pull/7/head", Limit: 1, WhenFull: "cancel_running", MaxQueue: 20}},
		"everything":       {full, request, full},
		"words as they are": {
			pipeline.Concurrency{Group: "{branch} {commit} {date}{time}"},
			push,
			pipeline.Concurrency{Group: "feature/x bfacd86c3d0e4f5a6b7c8d9e0f1a2b3c4d5e6f70 20230202233005", Limit: 1, WhenFull: "queue", MaxQueue: 20},
		},
		"a word that is not there": {
			pipeline.Concurrency{Group: "{branch}"},
			tag,
			pipeline.Concurrency{Group: "build refs/tags/v1", Limit: 1, WhenFull: "queue", MaxQueue: 20},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := pipeline.Pipeline{Name: "build", Concurrency: tc.says}.ConcurrencyOf(tc.event)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestConcurrencyIsShownSafely holds that what a stranger calls a branch moves no cursor of a terminal.
func TestConcurrencyIsShownSafely(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"main":                     "main, 1 at a time, when_full: queue",
		"\x1b[2J":                  `"\x1b[2J", 1 at a time, when_full: queue`,
		strings.Repeat("long", 99): `"` + strings.Repeat("long", 25) + `"..., 1 at a time, when_full: queue`,
	}
	for branch, want := range tests {
		p := pipeline.Pipeline{Concurrency: pipeline.Concurrency{Group: "{branch}"}}
		if got := p.ConcurrencyOf(triggers.Event{Branch: branch}).String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
