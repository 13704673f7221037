package run_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/triggers"
)

// compilation has two runners and, beside the built-in templates, one that is not open and runs on one kind only.
func compilation() run.Compilation {
	catalogue := template.Builtin(template.Platform{})
	catalogue["make@v1"] = template.Template{
		Name: "make", Version: "v1", RunsOn: []string{"local"},
		Params:    []param.Decl{{Name: "TARGET", Type: param.Text, Use: param.UseTemplate}},
		Container: template.Container{Command: []string{"make", "${TARGET}"}},
	}
	return run.Compilation{
		Event:         triggers.Event{ID: "d234567abcdefghij", Kind: triggers.Push, Branch: "main"},
		Catalogue:     catalogue,
		Runners:       map[string]run.RunnerInfo{"local": {Kind: "local", Line: "local-1"}, "big": {Kind: "kube", Line: "big"}},
		DefaultRunner: "local",
		Cause:         run.Cause{Kind: "delivery", ID: "d234567abcdefghij"},
		At:            time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func decode(t *testing.T, file string, data []byte) pipeline.Pipeline {
	t.Helper()
	p, problems := pipeline.Decode(triggers.File{Path: file, Data: data})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

// TestCompileGolden compiles each file of testdata/compile and shows the plan, or the problems.
func TestCompileGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/compile/*.yaml")
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
			s, problems := run.Compile(decode(t, filepath.Base(file), data), compilation())
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			got := planned(s, pipeline.Quote(triggers.File{Data: data}, problems))
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func planned(s run.Snapshot, problems []pipeline.Problem) string {
	var b strings.Builder
	fmt.Fprintf(&b, "run %s of %s (%s), timeout %s\n", s.ID, s.Pipeline, s.File, s.Timeout)
	for _, p := range problems {
		fmt.Fprintf(&b, "%s\n    | %s\n", p, strings.TrimSpace(p.Quote))
	}
	for _, st := range s.Stages {
		fmt.Fprintf(&b, "stage %s, parallel %v\n", st.Name, st.Parallel)
		for _, t := range st.Tasks {
			fmt.Fprintf(&b, "  task %s: %s on %s in line %s, timeout %s, ignore failed %v\n", t.Name, t.Template.Ref(), t.Runner, t.Line, t.Timeout, t.IgnoreFailed)
			for _, set := range t.Settings {
				fmt.Fprintf(&b, "    %s (%s) = %s, from %s\n", set.Name, set.Use, shown(set.Value), set.Origin)
			}
		}
	}
	return b.String()
}

func shown(v param.Value) string {
	switch {
	case v.Text != nil:
		return fmt.Sprintf("%q", *v.Text)
	case v.Output != nil:
		return "output " + v.Output.Task + "." + v.Output.Name
	}
	items := make(map[string]string, len(v.Map))
	for name, item := range v.Map {
		items[name] = shown(item)
	}
	return fmt.Sprint(items)
}

const oneTask = "on: push\nstages: [{name: a, tasks: [{name: t, uses: script@v1, with: {SCRIPT: make}}]}]\n"

func TestCompileSnapshot(t *testing.T) {
	t.Parallel()
	c := compilation()
	p := decode(t, ".millrace.yaml", []byte(oneTask))
	s, problems := run.Compile(p, c)
	again, _ := run.Compile(p, c)
	if diff := cmp.Diff(s, again); diff != "" || len(problems) > 0 {
		t.Errorf("compiled twice, problems %v:\n%s", problems, diff)
	}
	if s.ID != run.ID(c.Event.ID, ".millrace.yaml") || s.Cause != c.Cause || !s.CreatedAt.Equal(c.At) || s.Event.Branch != "main" {
		t.Errorf("got %+v", s)
	}
	c.Runners, c.DefaultRunner = nil, ""
	if _, problems := run.Compile(p, c); len(problems) > 0 {
		t.Errorf("without knowing runners: %v", problems)
	}
	c.Runners = map[string]run.RunnerInfo{"a": {Kind: "local"}, "b": {Kind: "local"}}
	_, problems = run.Compile(p, c)
	if len(problems) != 1 || problems[0].Message != "task t names no `runner` and there is no default: write one of a, b" {
		t.Errorf("without a default runner: %v", problems)
	}
}

// TestSnapshotRoundTrip holds that a snapshot reads back as it was written: empty texts and references survive.
func TestSnapshotRoundTrip(t *testing.T) {
	t.Parallel()
	file := "on: push\ntimeout: 1h\nparams: [{name: A, value: x}]\nstages:\n  - name: a\n    tasks:\n" +
		"      - {name: t, uses: script@v1, with: {SCRIPT: make}}\n" +
		"      - {name: u, uses: script@v1, with: {SCRIPT: make, ENV: {E: '', O: {output: t.ID}}}}\n"
	s, problems := run.Compile(decode(t, "x.yaml", []byte(file)), compilation())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var got run.Snapshot
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, got); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
}

// TestCompileBounds holds that what each of many tasks takes from its pipeline does not add up without end, and that
// problems do not either.
func TestCompileBounds(t *testing.T) {
	t.Parallel()
	file := "on: push\nparams: [{name: BIG, value: " + strings.Repeat("x", 60<<10) + "}]\nstages:\n  - name: a\n    tasks:\n"
	for i := range 100 {
		file += fmt.Sprintf("      - {name: t%d, uses: script@v1, with: {SCRIPT: make}}\n", i)
	}
	s, problems := run.Compile(decode(t, "x.yaml", []byte(file)), compilation())
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "at most 4194304 are taken") || s.Stages != nil {
		t.Errorf("problems %v, %d stages", problems, len(s.Stages))
	}
	file = strings.ReplaceAll(strings.ReplaceAll(file, "SCRIPT: make", "A: b, C: d"), strings.Repeat("x", 60<<10), "x")
	if _, problems := run.Compile(decode(t, "x.yaml", []byte(file)), compilation()); len(problems) != 100 {
		t.Errorf("%d problems", len(problems))
	}
}

func TestCompileGiven(t *testing.T) {
	t.Parallel()
	p, problems := pipeline.Decode(triggers.File{Path: "p.yaml", Data: []byte(`
params: [{name: GREETING, value: morning}]
stages: [{name: s, tasks: [{name: t, uses: script@v1, with: {SCRIPT: "true"}}]}]
`)})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	evening := "evening"
	given := []param.Given{{Name: "GREETING", Value: param.Value{Text: &evening}}}
	s, problems := run.Compile(p, run.Compilation{Catalogue: template.Builtin(template.Platform{}), DefaultRunner: "local", Given: given})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, setting := range s.Stages[0].Tasks[0].Settings {
		if setting.Name == "GREETING" && (*setting.Value.Text != "evening" || setting.Origin != "the start of the run") {
			t.Errorf("got %s from %s, want what the starter gave", *setting.Value.Text, setting.Origin)
		}
	}
	given[0].Name = "GREETNG"
	if _, problems = run.Compile(p, run.Compilation{Catalogue: template.Builtin(template.Platform{}), Given: given}); len(problems) != 1 {
		t.Errorf("a parameter that nobody takes: got %v, want one problem", problems)
	}
}
