package param_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/param"
)

var null = param.Value{Null: true}

func layer(origin string, v param.Value) param.Layer {
	return param.Layer{Origin: origin, Given: []param.Given{{Name: "A", Value: v, Pos: param.Pos{Line: len(origin), Column: 1}}}}
}

// TestResolve gives parameter A from far to near and says what is left of it.
func TestResolve(t *testing.T) {
	t.Parallel()
	text := param.TextValue
	decl := param.Decl{Name: "A", Type: param.Text, Use: param.UseEnv}
	withDefault, required, readOnly := decl, decl, decl
	def := text("default")
	withDefault.Default = &def
	required.Required = true
	readOnly.ReadOnly, readOnly.Default = true, &def
	tests := map[string]struct {
		decl    param.Decl
		layers  []param.Layer
		want    string // "" for no setting
		origin  string
		problem string
	}{
		"nobody gives":                    {decl: decl},
		"its default":                     {decl: withDefault, want: "default", origin: "default of t@v1"},
		"the nearest wins":                {decl: withDefault, layers: []param.Layer{layer("pipeline", text("p")), layer("stage", text("s")), layer("task", text("t"))}, want: "t", origin: "task"},
		"an empty text overrides nothing": {decl: withDefault, layers: []param.Layer{layer("pipeline", text("p")), layer("task", text(""))}, want: "p", origin: "pipeline"},
		"an empty list overrides nothing": {decl: withDefault, layers: []param.Layer{layer("task", param.Value{List: []param.Value{}})}, want: "default", origin: "default of t@v1"},
		"no value overrides nothing":      {decl: withDefault, layers: []param.Layer{layer("task", param.Value{})}, want: "default", origin: "default of t@v1"},
		"null clears a default":           {decl: withDefault, layers: []param.Layer{layer("task", null)}},
		"null clears what is beneath":     {decl: withDefault, layers: []param.Layer{layer("pipeline", text("p")), layer("stage", null)}},
		"a value after null":              {decl: withDefault, layers: []param.Layer{layer("stage", null), layer("task", text("t"))}, want: "t", origin: "task"},
		"read-only keeps its value":       {decl: readOnly, layers: []param.Layer{layer("task", text("t")), layer("last", null)}, want: "default", origin: "default of t@v1"},
		"required and nobody gives":       {decl: required, problem: "0: parameter `A` is required and has no value"},
		"required and empty":              {decl: required, layers: []param.Layer{layer("task", text(""))}, problem: "4: parameter `A` is required and has no value"},
		"required and null":               {decl: required, layers: []param.Layer{layer("task", null)}, problem: "4: parameter `A` is required and has no value"},
		"outside its type":                {decl: decl, layers: []param.Layer{layer("pipeline", text("p")), layer("task", param.Value{List: []param.Value{text("x")}})}, problem: "4: parameter `A` takes a text, not a list"},
		"a far one outside its type":      {decl: decl, layers: []param.Layer{layer("pipeline", param.Value{List: []param.Value{text("x")}}), layer("task", text("t"))}, want: "t", origin: "task"},
		"only declared ones are set":      {decl: param.Decl{Name: "B", Type: param.Text}, layers: []param.Layer{layer("task", text("t"))}},
		"an output":                       {decl: decl, layers: []param.Layer{layer("task", param.Value{Output: &param.Output{Task: "image", Name: "IMAGE"}})}, want: "image.IMAGE", origin: "task"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			decls := []param.Decl{tc.decl}
			layers := append([]param.Layer{param.Defaults("default of t@v1", decls)}, tc.layers...)
			settings, problems := param.Resolve(decls, layers...)
			var got, origin, problem string
			for _, s := range settings {
				got, origin = show(s.Value), s.Origin
			}
			for _, p := range problems {
				problem += string(rune('0'+p.Pos.Line)) + ": " + p.Message
			}
			if diff := cmp.Diff([]string{tc.want, tc.origin, tc.problem}, []string{got, origin, problem}); diff != "" {
				t.Errorf("value, origin, problem (-want +got):\n%s", diff)
			}
		})
	}
}

func show(v param.Value) string {
	switch {
	case v.Text != nil:
		return *v.Text
	case v.Output != nil:
		return v.Output.Task + "." + v.Output.Name
	}
	return "?"
}

func TestCheck(t *testing.T) {
	t.Parallel()
	text := param.TextValue
	list := func(items ...param.Value) param.Value { return param.Value{List: items} }
	mapping := func(v param.Value) param.Value { return param.Value{Map: map[string]param.Value{"K": v}} }
	output := param.Value{Output: &param.Output{Task: "a", Name: "B"}}
	enum := param.Decl{Type: param.Enum, Options: []string{"sh", "bash"}}
	typed := func(t param.Type) param.Decl { return param.Decl{Type: t} }
	tests := map[string]struct {
		decl  param.Decl
		value param.Value
		want  param.Value
		err   string
	}{
		"text":              {typed(param.Text), text("a b"), text("a b"), ""},
		"text, NUL":         {typed(param.Text), text("a\x00b"), param.Value{}, "cannot hold a NUL byte, which no program can be given"},
		"text, output":      {typed(param.Text), output, output, ""},
		"text, mapping":     {typed(param.Text), mapping(text("x")), param.Value{}, "takes a text, not a mapping"},
		"boolean":           {typed(param.Boolean), text("TRUE"), text("true"), ""},
		"boolean, no":       {typed(param.Boolean), text("no"), param.Value{}, `takes true or false, not "no"`},
		"number":            {typed(param.Number), text("+07"), text("7"), ""},
		"number, fraction":  {typed(param.Number), text("1.50"), text("1.5"), ""},
		"number, big":       {typed(param.Number), text("123456789012345678901"), text("1.2345678901234568e+20"), ""},
		"number, hex":       {typed(param.Number), text("0x10"), param.Value{}, `takes a number, not "0x10"`},
		"number, infinity":  {typed(param.Number), text("1e999"), param.Value{}, `takes a number, not "1e999"`},
		"number, words":     {typed(param.Number), text("NaN"), param.Value{}, `takes a number, not "NaN"`},
		"number, separated": {typed(param.Number), text("1_000"), param.Value{}, `takes a number, not "1_000"`},
		"enum":              {enum, text("bash"), text("bash"), ""},
		"enum, other":       {enum, text("fish; rm -rf /"), param.Value{}, `takes one of sh, bash, not "fish; rm -rf /"`},
		"enum, long":        {enum, text("01234567890123456789012345678901234567890"), param.Value{}, `takes one of sh, bash, not "0123456789012345678901234567890123456789"...`},
		"enum, output":      {enum, output, output, ""},
		"list":              {typed(param.List), list(text("a"), output), list(text("a"), output), ""},
		"list, text":        {typed(param.List), text("a"), param.Value{}, `takes a list, not "a"`},
		"list, of lists":    {typed(param.List), list(list(text("x"))), param.Value{}, "takes a list of texts, with a list in it"},
		"list, NUL":         {typed(param.List), list(text("\x00")), param.Value{}, "cannot hold a NUL byte, which no program can be given"},
		"list, other":       {param.Decl{Type: param.List, Options: []string{"LOW", "HIGH"}}, list(text("high")), param.Value{}, `takes a list of LOW, HIGH, not "high"`},
		"map":               {typed(param.Map), mapping(text("x")), mapping(text("x")), ""},
		"map, output":       {typed(param.Map), mapping(output), mapping(output), ""},
		"map, text":         {typed(param.Map), text("x"), param.Value{}, `takes a mapping of names to texts, not "x"`},
		"map, of lists":     {typed(param.Map), mapping(list(text("x"))), param.Value{}, `takes a mapping of names to texts, and "K" is a list`},
		"map, NUL":          {typed(param.Map), mapping(text("\x00")), param.Value{}, "cannot hold a NUL byte, which no program can be given"},
		"map, an output":    {typed(param.Map), output, param.Value{}, "takes a mapping of names to texts, not an output"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.decl.Name = "A"
			got, err := tc.decl.Check(tc.value)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
			var message string
			if err != nil {
				message = err.Error()
			}
			want := tc.err
			if want != "" {
				want = "parameter `A` " + want
			}
			if message != want {
				t.Errorf("got error %q, want %q", message, want)
			}
		})
	}
}
