package pipeline_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/triggers"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestDecodeGolden reads each file of testdata/decode. A golden file shows the problems as they are told, or the
// pipeline where there are none.
func TestDecodeGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/decode/*.yaml")
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
			p, problems := pipeline.Decode(triggers.File{Path: ".millrace/" + filepath.Base(file), Data: data})
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", told(t, p, problems))
		})
	}
}

// told writes what came of a file as people see it.
func told(t *testing.T, p pipeline.Pipeline, problems []pipeline.Problem) string {
	t.Helper()
	if len(problems) == 0 {
		data, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return string(data) + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "pipeline %s\n", p.Name)
	for _, problem := range problems {
		fmt.Fprintf(&b, "%s\n    | %s\n", problem, problem.Quote)
	}
	return b.String()
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// TestDecodeBounds gives files that are too much of something. Each is refused by name, and soon.
func TestDecodeBounds(t *testing.T) {
	t.Parallel()
	task := func(i int) string { return fmt.Sprintf("      - {name: t%d, uses: script@v1}\n", i) }
	stages := func(n, tasks int) string {
		b := strings.Builder{}
		b.WriteString("stages:\n")
		for i := range n {
			fmt.Fprintf(&b, "  - name: s%d\n    tasks:\n", i)
			for j := range tasks {
				b.WriteString(task(i*tasks + j))
			}
		}
		return b.String()
	}
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	tests := map[string]struct{ data, want string }{
		"a large file":                {strings.Repeat("# x\n", 1<<17), "1:1: the file has 524288 bytes"},
		"a large text":                {"name: " + strings.Repeat("x", 65<<10), "1:7: a text of 66560 bytes"},
		"texts by aliases":            {"a: &a " + strings.Repeat("x", 60<<10) + "\nb: [" + strings.Repeat("*a, ", 20) + "]\n", "more than 1048576 bytes of text"},
		"anchors that expand":         {bomb, "more than 20000 values"},
		"an anchor in itself":         {"stages: &a\n  - tasks: *a\n", "an alias stands inside what it names"},
		"deep nesting":                {strings.Repeat("[", 60) + strings.Repeat("]", 60), "nested deeper than 50 levels"},
		"endless nesting":             {strings.Repeat("[", 200_000), "exceeded max depth"},
		"many stages":                 {stages(51, 1), "`stages` has 51 items; at most 50 are taken"},
		"many tasks in a stage":       {stages(1, 201), "`tasks` has 201 items; at most 200 are taken"},
		"many tasks in all":           {stages(3, 67), "a pipeline of 201 tasks; at most 200 are taken"},
		"many patterns":               {"on: {push: {branches: [" + strings.Repeat("a, ", 51) + "]}}\n" + stages(1, 1), "`branches` has 51 items"},
		"alternatives of a pattern":   {"on: {push: {branches: ['" + strings.Repeat("{a,b}", 7) + "']}}\n" + stages(1, 1), "more than 64 combinations"},
		"a long pattern":              {"on: {push: {branches: [" + strings.Repeat("a", 300) + "]}}\n" + stages(1, 1), "a pattern of 300 bytes; at most 256"},
		"a regexp that multiplies":    {"on: {push: {branches: ['/(a{1000}){1000}/']}}\n" + stages(1, 1), "no regular expression"},
		"a regexp that is large":      {"on: {push: {branches: ['/(abc){100}/']}}\n" + stages(1, 1), "too large a regular expression"},
		"a thousand problems":         {"stages:\n" + strings.Repeat("  - {}\n", 50) + strings.Repeat("? x\n", 1000), "more problems from here on are not shown"},
		"a control character":         {"name: a\nstages: \x01\n", "2:9: a definition is UTF-8 text"},
		"a byte that is no character": {"name: a\nstages: \xff\n", "2:9: a definition is UTF-8 text"},
		"sixteen bit text":            {"\xff\xfen\x00", "1:1: a definition is UTF-8 text"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, problems := pipeline.Decode(triggers.File{Path: "x.yaml", Data: []byte(tc.data)})
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			var all []string
			for _, p := range problems {
				all = append(all, p.String())
				if len(p.String()) > 500 || len(p.Quote) > 200 {
					t.Errorf("problem of %d bytes", len(p.String()))
				}
			}
			if got := strings.Join(all, "\n"); !strings.Contains(got, tc.want) || len(problems) > 101 {
				t.Errorf("%d problems: %.2000s\nwant one with %q", len(problems), got, tc.want)
			}
		})
	}
}

func TestDecodeName(t *testing.T) {
	t.Parallel()
	const stages = "\nstages: [{name: a, tasks: [{name: b, uses: script@v1}]}]\n"
	tests := map[string]struct{ path, data, want string }{
		"as written":             {".millrace/x.yaml", "name: Release-1.0" + stages, "Release-1.0"},
		"of its file":            {".millrace/release.yaml", stages, "release"},
		"of the only file":       {".millrace.yaml", stages, "millrace"},
		"of an odd file":         {".millrace/a b;c.yaml", stages, "a-b-c"},
		"of a file without name": {".millrace/.yaml", stages, "pipeline"},
		"beside a problem":       {".millrace/x.yaml", "name: release\nstage: []", "release"},
		"of what is not YAML":    {".millrace/x.yaml", "stages: [\nname: \"release\" # the name\n", "release"},
		"not a legal one":        {".millrace/x.yaml", "name: 'a b'" + stages, "x"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := pipeline.Decode(triggers.File{Path: tc.path, Data: []byte(tc.data)})
			if p.Name != tc.want {
				t.Errorf("got %q, want %q", p.Name, tc.want)
			}
		})
	}
}

// FuzzDecode holds that any bytes give a pipeline or problems, each with a place in the file, and that what is good is
// within bounds.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/decode/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("a: &a [*a]\nb: *a\n<<: *a\n"))
	f.Add([]byte("a: b\n---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, problems := pipeline.Decode(triggers.File{Path: "x.yaml", Data: data})
		if p.Name == "" || p.File != "x.yaml" {
			t.Errorf("name %q, file %q", p.Name, p.File)
		}
		for _, problem := range problems {
			if problem.Pos.Line < 1 || problem.Pos.Column < 1 || problem.Message == "" {
				t.Errorf("problem without a place or a message: %+v", problem)
			}
		}
		if len(problems) > 0 {
			return
		}
		if len(p.Stages) == 0 || len(p.Stages) > 50 {
			t.Errorf("%d stages and no problem", len(p.Stages))
		}
		pipeline.Match(p, triggers.Event{Kind: triggers.Push, Branch: "main"})
	})
}
