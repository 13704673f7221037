package param_test

import (
	"testing"

	"github.com/millrace-ci/millrace/agent/param"
)

func TestValueString(t *testing.T) {
	t.Parallel()
	text := param.TextValue
	for want, v := range map[string]param.Value{
		"go test ./...":              text("go test ./..."),
		"null":                       {Null: true},
		"{output: image.IMAGE}":      {Output: &param.Output{Task: "image", Name: "IMAGE"}},
		"[a, {output: image.IMAGE}]": {List: []param.Value{text("a"), {Output: &param.Output{Task: "image", Name: "IMAGE"}}}},
		"{A: 1, B: 2}":               {Map: map[string]param.Value{"B": text("2"), "A": text("1")}},
	} {
		if got := v.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
