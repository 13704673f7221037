package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const examples = "../../examples"

// TestExamples checks every example, and runs their pipelines on a copy.
func TestExamples(t *testing.T) {
	t.Parallel()
	repositories, err := filepath.Glob(filepath.Join(examples, "*", definitionFolder))
	if err != nil || len(repositories) == 0 {
		t.Fatalf("got examples %v, %v", repositories, err)
	}
	for _, folder := range repositories {
		dir := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(filepath.Dir(folder))); err != nil {
			t.Fatal(err)
		}
		p := start(t, dir, "check")
		p.wait(t)
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("check %s: got exit code %d\n%s", folder, code, p.out)
		}
		files, err := readTree(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files.files {
			name := strings.TrimSuffix(filepath.Base(f.Path), ".yaml")
			p := start(t, dir, "exec", "--pipeline", name)
			p.wait(t)
			if code := p.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exec %s of %s: got exit code %d\n%s", name, folder, code, p.out)
			}
		}
	}
}

// TestReadme checks that the pipeline that README.md shows is that of the example.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown, err := os.ReadFile(filepath.Join(examples, "mill", definitionFolder, "build.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```yaml\n"+string(shown)+"```\n") {
		t.Errorf("README.md does not show examples/mill/.millrace/build.yaml:\n%s", shown)
	}
}
