package run_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/triggers"
)

// casual has a template whose defaults hang on what is the case when a task is planned.
func casual() run.Compilation {
	c := compilation()
	c.Catalogue["casual@v1"] = template.Template{
		Name: "casual", Version: "v1", RunsOn: []string{"local", "kube"}, Readme: "For people.",
		Params: []param.Decl{{Name: "A", Type: param.Text, Use: param.UseTemplate, Default: new(param.TextValue("always")), DefaultIn: map[param.Case]param.Value{
			"kube": param.TextValue("in a cluster"), param.InRequest: param.TextValue("of a request"),
		}}},
		Container: template.Container{Command: []string{"echo", "${A}", "${APP_VERSION}", "[${GIT_MR_NUMBER}]"}},
	}
	return c
}

func TestCompileDefaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		task    string
		request bool
		want    param.Setting
	}{
		"nothing is the case": {"{name: t, uses: casual}", false, param.Setting{Value: param.TextValue("always"), Origin: "default of casual@v1"}},
		"a cluster":           {"{name: t, uses: casual, runner: big}", false, param.Setting{Value: param.TextValue("in a cluster"), Origin: "default of casual@v1 on kube"}},
		"a request":           {"{name: t, uses: casual, runner: big}", true, param.Setting{Value: param.TextValue("of a request"), Origin: "default of casual@v1 for requests"}},
		"a task's own":        {"{name: t, uses: casual, with: {A: mine}}", true, param.Setting{Value: param.TextValue("mine"), Origin: "task t"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := casual()
			if tc.request {
				c.Event.Request = &triggers.Request{Number: 7}
			}
			s, problems := run.Compile(decode(t, "x.yaml", []byte("on: push\nstages: [{name: a, tasks: ["+tc.task+"]}]\n")), c)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			plan := s.Stages[0].Tasks[0]
			tc.want.Name, tc.want.Use = "A", param.UseTemplate
			if diff := cmp.Diff([]param.Setting{tc.want}, plan.Settings); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if plan.Template.Readme != "" {
				t.Error("the snapshot holds the template's readme")
			}
		})
	}
}

// TestRenderSystem holds that a template may refer to the system parameters, also to those that this event has not, but
// not to what proves who the attempt is: arguments are seen by more eyes than the environment is.
func TestRenderSystem(t *testing.T) {
	t.Parallel()
	file := "on: push\nversion: '{commit}-{branch}'\nstages: [{name: a, tasks: [{name: t, uses: casual}]}]\n"
	c := casual()
	c.Event.After = strings.Repeat("a", 40)
	s, problems := run.Compile(decode(t, "x.yaml", []byte(file)), c)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	r, _ := run.New(&s)
	got, err := run.Render(r, r.Tasks[0], run.Surroundings{Token: "hush"})
	if diff := cmp.Diff([]string{"echo", "always", "aaaaaaaa-main", "[]"}, got.Command); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	for _, name := range []string{"TASK_TOKEN", "JOB_TASK_UPDATE_TOKEN"} {
		r.Plan.Stages[0].Tasks[0].Template.Container.Command = []string{"echo", "${" + name + "}"}
		want := "template casual@v1: ${" + name + "} stands for no parameter of it"
		if _, err := run.Render(r, r.Tasks[0], run.Surroundings{Token: "hush"}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if s.Version != "aaaaaaaa-main" || got.Env["APP_VERSION"] != s.Version || got.Env["TASK_TOKEN"] != "hush" {
		t.Errorf("version %s, environment %v", s.Version, got.Env)
	}
}
