package template_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/template"
)

func TestFind(t *testing.T) {
	t.Parallel()
	c := template.Catalogue{}
	for _, v := range []string{"v1", "v2", "v10"} {
		c["script@"+v] = template.Template{Name: "script", Version: v}
	}
	c["docker_build@v1"] = template.Template{Name: "docker_build", Version: "v1"}
	tests := map[string]struct{ want, err string }{
		"script@v1":       {"script@v1", ""},
		"script@v2":       {"script@v2", ""},
		"script":          {"script@v10", ""},
		"script@latest":   {"script@v10", ""},
		"docker_build":    {"docker_build@v1", ""},
		"script@v3":       {"", "there is no template `script@v3`; there is script@v1, script@v2, script@v10"},
		"scripts":         {"", "there is no template `scripts`, did you mean `script`?"},
		"docker-build@v1": {"", "there is no template `docker-build@v1`, did you mean `docker_build@v1`?"},
		"ansible@v1":      {"", "there is no template `ansible@v1`; there is docker_build@v1, script@v1, script@v10, script@v2"},
	}
	for ref, tc := range tests {
		got, err := c.Find(ref)
		switch {
		case tc.err != "":
			if err == nil || err.Error() != tc.err {
				t.Errorf("%s: got error %v, want %s", ref, err, tc.err)
			}
		case err != nil || got.Ref() != tc.want:
			t.Errorf("%s: got %s, %v, want %s", ref, got.Ref(), err, tc.want)
		}
	}
}

// hostile are values that would do harm wherever they were read as code.
var hostile = []string{
	`x"; rm -rf /`, `zzz";echo${IFS}"hello";#`, "$(touch /tmp/x)", "`id`", "${SCRIPT}", "${SHELL}", "$SHELL", "a\nb: c\n- d", "{{.}}", "-rf", "'", `\`, "&a *a",
}

// TestRenderHostile holds C4: a value is one argument, or one entry of the environment, whatever it says.
func TestRenderHostile(t *testing.T) {
	t.Parallel()
	script, err := template.Builtin(template.Platform{}).Find("script@v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range hostile {
		got, err := template.Render(script, []param.Setting{
			{Name: "IMAGE", Value: param.TextValue(v), Use: param.UseTemplate},
			{Name: "SCRIPT", Value: param.TextValue(v), Use: param.UseTemplate},
			{Name: "SHELL", Value: param.TextValue("bash"), Use: param.UseTemplate},
			{Name: "ENV", Value: param.Value{Map: map[string]param.Value{"B": param.TextValue(v), "C": param.TextValue("near")}}, Use: param.UseTemplate},
			{Name: "A", Value: param.TextValue(v), Use: param.UseEnv},
			{Name: "C", Value: param.TextValue("far"), Use: param.UseEnv},
		}, nil)
		want := template.Rendered{
			Image: v, Command: []string{"bash", "-e", "-c", v}, Env: map[string]string{"A": v, "B": v, "C": "near"},
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: error %v (-want +got):\n%s", v, err, diff)
		}
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	params := []param.Decl{{Name: "A", Type: param.Text}, {Name: "L", Type: param.List}}
	tests := map[string]struct {
		container template.Container
		want      template.Rendered
		err       string
	}{
		"inside a text":            {template.Container{Image: "x/${A}:${A}"}, template.Rendered{Image: "x/a:a"}, ""},
		"over the environment":     {template.Container{Env: map[string]string{"E": "${A}!"}}, template.Rendered{Env: map[string]string{"E": "a!"}}, ""},
		"a shell's own":            {template.Container{Command: []string{"$A", "$", "${"}}, template.Rendered{Command: []string{"$A", "$", "${"}}, ""},
		"nobody's":                 {template.Container{Command: []string{"${B}"}}, template.Rendered{}, "template t@v1: ${B} stands for no parameter of it"},
		"nothing's":                {template.Container{Command: []string{"${}"}}, template.Rendered{}, "template t@v1: ${} stands for no parameter of it"},
		"a list where a text is":   {template.Container{Command: []string{"${L}"}}, template.Rendered{}, "template t@v1: ${L} is a list and cannot stand in a text"},
		"a system parameter":       {template.Container{Image: "x:${SYSTEM}"}, template.Rendered{Image: "x:s"}, ""},
		"what is meant as it is":   {template.Container{Command: []string{"$${A} $${B} ${A}", "$$${A}"}}, template.Rendered{Command: []string{"${A} ${B} a", "$${A}"}}, ""},
		"a shell's own with names": {template.Container{Args: []template.Arg{{Text: "$${A}"}}}, template.Rendered{Command: []string{"${A}"}}, ""},
		"a parameter of no value":  {template.Container{Image: "[${A2}]"}, template.Rendered{Image: "[]"}, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tmpl := template.Template{Name: "t", Version: "v1", Params: append(params, param.Decl{Name: "A2", Type: param.Text}), Container: tc.container}
			got, err := template.Render(tmpl, []param.Setting{{Name: "A", Value: param.TextValue("a")}}, map[string]string{"SYSTEM": "s"})
			if tc.err != "" {
				if err == nil || err.Error() != tc.err {
					t.Errorf("got error %v, want %s", err, tc.err)
				}
				return
			}
			if tc.want.Env == nil {
				tc.want.Env = map[string]string{}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestBuiltinLint holds what every built-in template keeps: it renders, each reference is declared, its parameters are
// described, and no shell line is made of a value and anything else.
func TestBuiltinLint(t *testing.T) {
	t.Parallel()
	for ref, tmpl := range template.Builtin(template.Platform{}) {
		if ref != tmpl.Ref() || len(tmpl.RunsOn) == 0 || tmpl.Description == "" {
			t.Errorf("%s: called %s, runs on %v, %q", ref, tmpl.Ref(), tmpl.RunsOn, tmpl.Description)
		}
		if _, err := template.Render(tmpl, nil, system()); err != nil {
			t.Error(err)
		}
		if problem := splices(tmpl.Container.Command); problem != "" {
			t.Errorf("%s: %s", ref, problem)
		}
		for _, d := range tmpl.Params {
			if _, taken := system()[d.Name]; taken {
				t.Errorf("%s: parameter %s has the name of a system parameter", ref, d.Name)
			}
			if !param.ValidName(d.Name) || d.Description == "" || d.Type == "" || d.Use == "" {
				t.Errorf("%s: parameter %+v", ref, d)
			}
			if d.Default != nil {
				if _, err := d.Check(*d.Default); err != nil {
					t.Errorf("%s: its default: %v", ref, err)
				}
			}
		}
		for _, name := range tmpl.Container.EnvFrom {
			if !slices.ContainsFunc(tmpl.Params, func(d param.Decl) bool { return d.Name == name && d.Type == param.Map }) {
				t.Errorf("%s: environment from %s, which is no map of it", ref, name)
			}
		}
	}
	if splices([]string{"sh", "-c", "make ${TARGET}"}) == "" {
		t.Error("a spliced shell line passes the lint")
	}
}

func TestRenderArgs(t *testing.T) {
	t.Parallel()
	list := func(items ...string) param.Value { return listed("", items...).Value }
	tmpl := template.Template{Name: "t", Version: "v1", Params: []param.Decl{
		{Name: "A", Type: param.Text}, {Name: "YES", Type: param.Boolean}, {Name: "NO", Type: param.Boolean}, {Name: "L", Type: param.List}, {Name: "M", Type: param.Map},
	}}
	tests := map[string]struct {
		arg  template.Arg
		want []string
	}{
		"a text":               {template.Arg{Text: "--a=${A}"}, []string{"--a=a"}},
		"nothing to say":       {template.Arg{Text: "--a=${EMPTY}"}, nil},
		"something to say":     {template.Arg{Text: "--a=${EMPTY}${A}"}, []string{"--a=a"}},
		"always":               {template.Arg{Text: "--a"}, []string{"--a"}},
		"each":                 {template.Arg{Flag: "--l", Each: "L"}, []string{"--l=x", "--l=${A}"}},
		"each of a map":        {template.Arg{Flag: "--m", Each: "M"}, []string{"--m=K=v"}},
		"each inside a text":   {template.Arg{Text: "${A}:${L}", Each: "L"}, []string{"a:x", "a:${A}"}},
		"each of nothing":      {template.Arg{Flag: "--n", Each: "NONE"}, nil},
		"when it is so":        {template.Arg{Text: "--a", When: "YES"}, []string{"--a"}},
		"when it is not":       {template.Arg{Text: "--a", When: "NO"}, nil},
		"when nobody says":     {template.Arg{Text: "--a", When: "NONE"}, nil},
		"when the system says": {template.Arg{Text: "--a", When: "SYSTEM"}, []string{"--a"}},
		"when it says nothing": {template.Arg{Text: "--a", When: "EMPTY"}, nil},
		"unless it is so":      {template.Arg{Text: "--a", Unless: "YES"}, nil},
		"unless it is not":     {template.Arg{Text: "--a", Unless: "NO"}, []string{"--a"}},
		"unless nobody says":   {template.Arg{Text: "--a", Unless: "NONE"}, []string{"--a"}},
		"both":                 {template.Arg{Text: "--a", When: "YES", Unless: "NO"}, []string{"--a"}},
		"each when it is not":  {template.Arg{Flag: "--l", Each: "L", When: "NO"}, nil},
	}
	settings := []param.Setting{
		{Name: "A", Value: param.TextValue("a")},
		{Name: "YES", Value: param.TextValue("true")},
		{Name: "NO", Value: param.TextValue("false")},
		{Name: "L", Value: list("x", "", "${A}")},
		{Name: "M", Value: mapped("", "K", "v").Value},
	}
	for name, tc := range tests {
		tmpl.Container.Args = []template.Arg{tc.arg}
		got, err := template.Render(tmpl, settings, map[string]string{"SYSTEM": "s", "EMPTY": ""})
		if diff := cmp.Diff(tc.want, got.Command); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", name, err, diff)
		}
	}
	tmpl.Container.Args = []template.Arg{{Flag: "-a", Each: "L"}, {Flag: "-b", Each: "L"}}
	got, err := template.Render(tmpl, settings, nil)
	if diff := cmp.Diff([]string{"-a=x", "-a=${A}", "-b=x", "-b=${A}"}, got.Command); diff != "" || err != nil {
		t.Errorf("each of one list twice: error %v (-want +got):\n%s", err, diff)
	}
}

// system is the system parameters that built-in templates refer to.
func system() map[string]string {
	return map[string]string{
		"APP_VERSION": "v1", "GIT_COMMIT_ID": "c0ffee", "GIT_HTTP_URL": "https://git.example.com/shop/api.git", "GIT_MR_NUMBER": "",
		"EVENT_TIME": "2026-01-02T03:04:05Z",
	}
}

// splices finds what follows -c and is a value with something around it.
func splices(command []string) string {
	for i, arg := range command {
		arg = strings.ReplaceAll(arg, "$${", "") // what is meant as it is
		if i > 0 && command[i-1] == "-c" && strings.Contains(arg, "${") && (strings.Count(arg, "${") > 1 || arg[:2] != "${" || arg[len(arg)-1] != '}') {
			return "a value is spliced into the shell line " + arg
		}
	}
	return ""
}
