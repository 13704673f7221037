package agent_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/triggers"
)

// TestCheckTellsAllAtOnce: a misspelt key does not hide a misspelt parameter, and one mistake is told once.
func TestCheckTellsAllAtOnce(t *testing.T) {
	t.Parallel()
	f := triggers.File{Path: "a.yaml", Data: []byte(`name: a
requird: true
stages:
  - name: s
    tasks:
      - {name: one, uses: script@v1, with: {SCRPT: "true"}}
      - {name: two, with: {SCRIPT: "true"}}
`)}
	var got []int
	for _, p := range agent.Check(f, &pipeline.Names{}, run.Compilation{Catalogue: template.Builtin(template.Platform{}), DefaultRunner: "local"}) {
		got = append(got, p.Pos.Line)
	}
	if diff := cmp.Diff([]int{2, 6, 6, 7}, got); diff != "" {
		t.Errorf("lines of problems (-want +got):\n%s", diff)
	}
}
