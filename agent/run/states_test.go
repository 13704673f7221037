package run

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestStatesDrawing draws docs/run-states.md from the transition table and fails when the drawing there is old. It
// looks at the table itself, so it stands inside the package.
func TestStatesDrawing(t *testing.T) {
	const file = "../../docs/run-states.md"
	got := drawing()
	if flag.Lookup("update").Value.String() == "true" { // the flag of the external tests in this binary
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/run-states.md is old: run go test ./agent/run -run StatesDrawing -update\n%s", diff)
	}
}

// TestTableIsAFunction checks that no state has two ways out for one verb, and that nothing leaves a final state.
func TestTableIsAFunction(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range moves {
		key := string(m.From) + string(m.On)
		if seen[key] {
			t.Errorf("%s has two ways out for %q", m.From, m.On)
		}
		seen[key] = true
		if m.From.Final() {
			t.Errorf("%s is final and has a way out: %q", m.From, m.On)
		}
	}
}

func drawing() string {
	var b strings.Builder
	b.WriteString("# The states of a task\n\nDrawn from the transition table in `agent/run/table.go` by `go test ./agent/run -run StatesDrawing -update`.\n\n")
	b.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> pending\n")
	for _, m := range moves {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", m.From, m.To, m.On)
	}
	for _, s := range []State{Succeeded, Failed, Canceled, Skipped} {
		fmt.Fprintf(&b, "    %s --> [*]\n", s)
	}
	b.WriteString("```\n\nA run is waiting until its first task starts, then running; canceling while it is ended early; then canceled or, after its\n" +
		"timeout, failed; else failed if a task failed that was not ignored, else succeeded; skipped if nothing ran.\n")
	return b.String()
}
