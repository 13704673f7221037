package param_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/param"
)

func TestFill(t *testing.T) {
	t.Parallel()
	ref := func(task, name string) param.Value { return param.Value{Output: &param.Output{Task: task, Name: name}} }
	outputs := func(task, name string) (string, bool) {
		// What a task wrote looks like references and is none.
		return map[string]string{"image.IMAGE": "${SHELL} {output: image.IMAGE}"}[task+"."+name], task+"."+name == "image.IMAGE"
	}
	filled := param.TextValue("${SHELL} {output: image.IMAGE}")
	value := param.Value{Map: map[string]param.Value{"A": ref("image", "IMAGE"), "B": param.TextValue("b")}}
	got, err := value.Fill(outputs)
	want := param.Value{Map: map[string]param.Value{"A": filled, "B": param.TextValue("b")}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, value (-want +got):\n%s", err, diff)
	}
	if value.Map["A"].Output == nil {
		t.Error("the value that was filled has changed")
	}
	list := param.Value{List: []param.Value{param.TextValue("a"), ref("image", "IMAGE")}}
	got, err = list.Fill(outputs)
	if diff := cmp.Diff(param.Value{List: []param.Value{param.TextValue("a"), filled}}, got); diff != "" || err != nil {
		t.Errorf("error %v, value (-want +got):\n%s", err, diff)
	}
	for _, v := range []param.Value{ref("image", "NONE"), {List: []param.Value{ref("image", "NONE")}}, {Map: map[string]param.Value{"A": ref("image", "NONE")}}} {
		if _, err := v.Fill(outputs); err == nil || err.Error() != "task image wrote no output NONE" {
			t.Errorf("error %v", err)
		}
	}
	if got := value.Outputs(); !cmp.Equal(got, []param.Output{{Task: "image", Name: "IMAGE"}}) {
		t.Errorf("refers to %v", got)
	}
	if got := value.Size(); got != len("A")+len("B")+len("b") {
		t.Errorf("size %d", got)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"A": true, "_a9": true, "": false, "9a": false, "a-b": false, "a b": false, "A\n": false, "Ä": false} {
		if got := param.ValidName(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	t.Parallel()
	known := []string{"stages", "name", "timeout", "ignore_failed", "uses"}
	tests := map[string]string{
		"stage":                     ", did you mean `stages`?",
		"nmae":                      ", did you mean `name`?",
		"NAME":                      ", did you mean `name`?",
		"time-out":                  ", did you mean `timeout`?",
		"ignoreFailed":              ", did you mean `ignore_failed`?",
		"ignore-failed":             ", did you mean `ignore_failed`?",
		"colour":                    "",
		"":                          "",
		string(make([]byte, 1<<20)): "",
	}
	for name, want := range tests {
		if got := param.DidYouMean(name, known); got != want {
			t.Errorf("%.40q: got %q, want %q", name, got, want)
		}
	}
}
