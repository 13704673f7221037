package pipeline_test

import (
	"testing"

	"github.com/millrace-ci/millrace/agent/pipeline"
)

func TestNamesAreTakenOnce(t *testing.T) {
	t.Parallel()
	var names pipeline.Names
	for _, file := range []string{"a.yaml", "b.yaml"} {
		if problems := names.Taken(pipeline.Pipeline{Name: file, File: file}); len(problems) > 0 {
			t.Errorf("%s: got %v, want no problem", file, problems)
		}
	}
	got := names.Taken(pipeline.Pipeline{Name: "a.yaml", File: "c.yaml"})
	want := "c.yaml:1:1: the pipeline of a.yaml is called \"a.yaml\" too: give this one another `name`"
	if len(got) != 1 || got[0].String() != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
