package pipeline_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/triggers"
)

func push(branch string, files ...string) triggers.Event {
	e := triggers.Event{Kind: triggers.Push, Ref: "refs/heads/" + branch, Branch: branch}
	if len(files) > 0 {
		e.Files = &files
	}
	return e
}

func tag(name string) triggers.Event {
	return triggers.Event{Kind: triggers.Tag, Ref: "refs/tags/" + name, Tag: name}
}

func request(target, action string, files ...string) triggers.Event {
	e := push("feature", files...)
	e.Kind = triggers.PullRequest
	e.Request = &triggers.Request{Number: 7, Action: action, SourceBranch: "feature", TargetBranch: target}
	return e
}

// events are what every pipeline of testdata/match is asked about.
func events() []struct {
	name  string
	event triggers.Event
} {
	many := make([]string, 100_001)
	fork, none := request("main", "opened"), push("main")
	fork.Request.Fork = true
	none.Files = &[]string{}
	return []struct {
		name  string
		event triggers.Event
	}{
		{"push main, files unknown", push("main")},
		{"push main, api", push("main", "README.md", "api/x.go")},
		{"push main, docs", push("main", "README.md", "docs/a.md", "docs/b.md", "docs/c.md", "api/x.md")},
		{"push main, no file", none},
		{"push main, too many files", push("main", many...)},
		{"push main, odd file", push("main", "api/a \"b\"\n\x1b[31m.go")},
		{"push dev", push("dev")},
		{"push release/1/2", push("release/1/2")},
		{"push release/old", push("release/old")},
		{"push release/older", push("release/older")},
		{"push hotfix-7", push("hotfix-7")},
		{"push hotfix-7b", push("hotfix-7b")},
		{"push a hostile branch", push(`zzz";echo${IFS}"hello";#`)},
		{"push a long branch", push(strings.Repeat("x", 253))},
		{"tag v1.2", tag("v1.2")},
		{"tag v1.2-rc1", tag("v1.2-rc1")},
		{"tag nightly", tag("nightly")},
		{"request into main", request("main", "opened", "api/x.go")},
		{"request into main, docs", request("main", "synchronize", "docs/a.md")},
		{"request into main, labeled", request("main", "labeled")},
		{"request into release/1, labeled", request("release/1", "labeled")},
		{"request into release/1, reopened", request("release/1", "reopened")},
		{"request into release/1, closed", request("release/1", "closed")},
		{"request of a fork", fork},
		{"branch deleted", triggers.Event{Kind: triggers.Deletion, Branch: "main"}},
		{"a kind of later", triggers.Event{Kind: "merge_group"}},
	}
}

// TestMatchGolden asks each pipeline of testdata/match about each event.
func TestMatchGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/match/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, problems := pipeline.Decode(triggers.File{Path: file, Data: data})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			var b strings.Builder
			for _, e := range events() {
				fmt.Fprintln(&b, e.name+"\n    "+verdict(pipeline.Match(p, e.event)))
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", b.String())
		})
	}
}

func verdict(x pipeline.Explanation) string {
	switch {
	case x.Matched:
		return "yes: " + x.Reason
	case x.Required:
		return "no, and required: " + x.Reason
	}
	return "no: " + x.Reason
}

// FuzzMatch holds that whatever a pattern and an event say, a decision comes with a reason that is short, printable
// text, and that a pattern which Decode refuses lets nothing through.
func FuzzMatch(f *testing.F) {
	f.Add("main", "api/**", "main", "api/x.go")
	f.Add("!{a,b}*/[!x-z]", "/.*\\.go/", "release/1", "\xff\x00")
	f.Add("*{a,b}**{c,d}", "[", "", "")
	f.Fuzz(func(t *testing.T, branches, paths, branch, file string) {
		p := pipeline.Pipeline{Name: "p", On: pipeline.On{
			Push: &pipeline.PushFilter{Branches: []string{branches}, Paths: []string{paths}},
			Tag:  &pipeline.TagFilter{Names: []string{branches}},
		}}
		for _, e := range []triggers.Event{push(branch, file), tag(branch), request(branch, file)} {
			x := pipeline.Match(p, e)
			if x.Reason == "" || len(x.Reason) > 4000 || !utf8.ValidString(x.Reason) || strings.ContainsAny(x.Reason, "\x00\x1b\n") {
				t.Errorf("reason %q", x.Reason)
			}
		}
	})
}

// FuzzGlob holds that a glob without anything special matches itself and nothing else, and that excluding it turns the
// answer over.
func FuzzGlob(f *testing.F) {
	f.Add("main", "dev")
	f.Add("release/1", "release/1/2")
	f.Fuzz(func(t *testing.T, glob, value string) {
		if glob == "" || len(glob) > 200 || strings.ContainsAny(glob, `*?[]{}\!/`) || !utf8.ValidString(glob) || !utf8.ValidString(value) {
			return
		}
		ask := func(patterns ...string) bool {
			p := pipeline.Pipeline{On: pipeline.On{Push: &pipeline.PushFilter{Branches: patterns}}}
			return pipeline.Match(p, push(value)).Matched
		}
		if got, want := ask(glob), glob == value; got != want {
			t.Errorf("%q on %q: got %v, want %v", glob, value, got, want)
		}
		if got, want := ask("!"+glob), glob != value; got != want {
			t.Errorf("%q on %q: got %v, want %v", "!"+glob, value, got, want)
		}
		if got := ask("**", "!"+glob, glob); !got {
			t.Errorf("%q came back and does not match", value)
		}
	})
}
