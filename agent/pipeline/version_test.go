package pipeline_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/triggers"
)

var legalTag = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

// pushed is an event whose date is another where it happened than in UTC.
func pushed(branch, tag string) triggers.Event {
	return triggers.Event{
		Branch: branch, Tag: tag, After: "bfacd86c3d0e4f5a6b7c8d9e0f1a2b3c4d5e6f70",
		Time: time.Date(2023, 2, 3, 7, 30, 5, 0, time.FixedZone("CST", 8*3600)),
	}
}

func TestVersionOf(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long-", 60)
	tests := []struct{ name, version, branch, tag, want string }{
		{"the default", "", "master", "", "v20230202-master-bfacd86c"},
		{"a branch with a slash", "", "feature/x", "", "v20230202-feature-x-bfacd86c"},
		{"a branch of other letters", "", "功能/登录", "", "v20230202---bfacd86c"},
		{"a hostile branch", "", `zzz";echo${IFS}"hello";#`, "", "v20230202-zzz-echo-IFS-hello--bfacd86c"},
		{"a long branch leaves the commit", "", long, "", "v20230202-" + long[:64] + "-bfacd86c"},
		{"a tag", "", "", "v1.2.3", "v1.2.3"},
		{"a tag without the prefix", "", "", "1.2.3", "v1.2.3"},
		{"a tag that no image may have", "", "", "+release/1", "v-release-1"},
		{"a long tag", "", "", strings.Repeat("1", 200), "v" + strings.Repeat("1", 127)},
		{"a prefix that is there", "v{tag}-{commit}", "", "v1", "v1-bfacd86c"},
		{"a prefix that is missing", "api-{tag}", "", "v1", "api-v1"},
		{"a tag where none is asked for", "api-{branch}", "", "v1", "api-v1"},
		{"no prefix", "{branch}-{time}", "main", "", "main-233005"},
		{"a prefix that a branch has", "release-{branch}", "release-7", "", "release-7"},
		{"always the same", "stable", "main", "v1", "stable"},
		{"nothing legal", "{tag}", "main", "", "bfacd86c"},
		{"an illegal beginning", ".-{branch}", "-main", "", "main"},
		{"long", "{branch}-{branch}-{branch}", long, "", strings.Repeat(long[:64]+"-", 3)[:128]},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := pipeline.Pipeline{Version: tc.version}.VersionOf(pushed(tc.branch, tc.tag))
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
	if got := (pipeline.Pipeline{Version: "{tag}"}).VersionOf(triggers.Event{}); got != "none" {
		t.Errorf("of an event without words: got %s", got)
	}
}

func TestVersionProblems(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"v{dat}":         "`version` knows no {dat}, did you mean `date`?",
		"{}":             "`version` knows no {}; there is branch, commit, date, tag, time",
		"v${BUILD}":      "`version` knows no {BUILD}; there is branch, commit, date, tag, time",
		"v{date":         "`version` has a brace that belongs to no {name}; there is branch, commit, date, tag, time",
		"v{{date}}":      "`version` has a brace that belongs to no {name}; there is branch, commit, date, tag, time",
		"v{date}-{date}": "",
	}
	for version, want := range tests {
		data := "version: '" + version + "'\nstages: [{name: a, tasks: [{name: t, uses: script@v1}]}]\n"
		_, problems := pipeline.Decode(triggers.File{Path: "x.yaml", Data: []byte(data)})
		switch {
		case want == "" && len(problems) > 0, want != "" && (len(problems) != 1 || problems[0].Message != want || problems[0].Pos.Line != 1):
			t.Errorf("%s: got %v, want %s", version, problems, want)
		}
	}
}

// FuzzVersionOf holds that a version is a legal tag of an image, and the same for the same event, whatever strangers
// call their branches and tags.
func FuzzVersionOf(f *testing.F) {
	f.Add("", "master", "", "bfacd86c")
	f.Add("v{tag}", "", "v1", "")
	f.Add("{{x}}-{", "..", "\xff", "\x00")
	f.Fuzz(func(t *testing.T, version, branch, tag, commit string) {
		p, e := pipeline.Pipeline{Version: version}, triggers.Event{Branch: branch, Tag: tag, After: commit}
		got := p.VersionOf(e)
		if !legalTag.MatchString(got) || got != p.VersionOf(e) {
			t.Errorf("got %q", got)
		}
	})
}
