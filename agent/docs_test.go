package agent_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/triggers"
)

// TestPipelineDocs checks every example of docs/pipeline.md as `millrace check` does, and that there is one for each key
// that is decoded.
func TestPipelineDocs(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/pipeline.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples strings.Builder
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(doc), -1) {
		examples.WriteString(m[1])
		f := triggers.File{Path: "example.yaml", Data: []byte(whole(m[1]))}
		known := map[string]run.RunnerInfo{"here": {Kind: "local"}, "prod": {Kind: "kube"}}
		c := run.Compilation{Catalogue: template.Builtin(template.Platform{}), Runners: known, DefaultRunner: "here"}
		for _, p := range agent.Check(f, &pipeline.Names{}, c) {
			t.Errorf("%s in\n%s", p, f.Data)
		}
	}
	for _, key := range decoded(t) {
		if !regexp.MustCompile(`\b` + key + `:`).MatchString(examples.String()) {
			t.Errorf("no example has the key `%s`", key)
		}
	}
}

// whole makes a definition of an example that is one, some of its keys, or some of its tasks.
func whole(example string) string {
	const stages = "stages: [{name: s, tasks: [{name: t, uses: script@v1, with: {SCRIPT: \"true\"}}]}]\n"
	switch {
	case strings.HasPrefix(example, "- "):
		return "stages:\n  - name: s\n    tasks:\n      " + strings.ReplaceAll(strings.TrimSpace(example), "\n", "\n      ") + "\n"
	case strings.Contains(example, "stages:"):
		return example
	}
	return example + stages
}

// decoded lists the keys that package pipeline reads.
func decoded(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("pipeline/[fv]*s.go") // fields.go, values.go
	if err != nil || len(files) != 2 {
		t.Fatalf("got %q, %v", files, err)
	}
	var all []string
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\n\t+"([a-z_]+)": `).FindAllStringSubmatch(string(source), -1) {
			all = append(all, m[1])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
