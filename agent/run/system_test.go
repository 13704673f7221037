package run_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/triggers"
)

const twoTasks = `
name: release
on: push
params: [{name: REGION, value: eu}]
stages:
  - name: build
    tasks:
      - {name: image, uses: script@v1, with: {SCRIPT: make image}}
  - name: ship
    tasks:
      - {name: deploy, uses: script@v1, with: {IMAGE: {output: image.IMAGE}, SHELL: {output: image.SHELL}, SCRIPT: make deploy, ENV: {WHAT: {output: image.IMAGE}}}}
`

// hostileEvent is a request whose every word was chosen by somebody who means harm.
func hostileEvent() triggers.Event {
	const bad = "x\"; rm -rf / #${SCRIPT}\n"
	return triggers.Event{
		ID: "d234567abcdefghij", Kind: triggers.PullRequest, Forge: "gitea", Branch: bad, Tag: bad, Before: "b0", After: "a0",
		Repo:   triggers.Repository{Name: "shop/api", SSHURL: "git@example.com:shop/api.git", HTTPURL: "https://example.com/shop/api.git"},
		Author: triggers.Person{Name: "Eve\x00" + bad}, Sender: bad, Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)),
		Request: &triggers.Request{Number: 7, Action: "opened", Status: "open", SourceBranch: bad, TargetBranch: "main"},
	}
}

func rendering(t *testing.T, e triggers.Event, outputs map[string]string) (run.Run, run.Task) {
	t.Helper()
	c := compilation()
	c.Event = e
	s, problems := run.Compile(decode(t, "x.yaml", []byte(twoTasks)), c)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	r, _ := run.New(&s)
	r.Tasks[0].Outputs = outputs
	r.Tasks[1].Attempt = 2
	return r, r.Tasks[1]
}

func TestRender(t *testing.T) {
	t.Parallel()
	e := hostileEvent()
	image := "api:${SHELL}\"; rm -rf /"
	r, task := rendering(t, e, map[string]string{"IMAGE": image, "SHELL": "bash"})
	got, err := run.Render(r, task, run.Surroundings{URL: "https://ci.example.com", Token: "t0"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"bash", "-e", "-c", "make deploy"}, got.Command); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
	id := r.Plan.ID
	want := map[string]string{
		"REGION": "eu", "WHAT": image, "CI": "true",
		"RUN_ID": id, "TASK_ID": id + "/deploy", "TEMPLATE": "script@v1", "PIPELINE": "release", "ATTEMPT": "2",
		"MILLRACE_URL": "https://ci.example.com",
		"JOB_TASK_ID":  id + "/deploy", "JOB_ID": "script@v1", "PIPELINE_TASK_ID": id, "TASK_TOKEN": "t0", "JOB_TASK_UPDATE_TOKEN": "t0",
		"APP_VERSION": "vx-rm--rf-SCRIPT-", "EVENT_TIME": "2026-01-02T02:04:05Z",
		"GIT_REPO": "shop/api", "GIT_SSH_URL": "git@example.com:shop/api.git", "GIT_HTTP_URL": "https://example.com/shop/api.git",
		"GIT_BRANCH": e.Branch, "GIT_TAG": e.Tag, "GIT_COMMIT_ID": "a0", "GIT_BEFORE": "b0",
		"GIT_AUTHOR": strings.ReplaceAll(e.Author.Name, "\x00", "\ufffd"),
		"EVENT_KIND": "pull_request", "EVENT_FORGE": "gitea", "EVENT_SENDER": e.Sender,
		"GIT_MR_NUMBER": "7", "GIT_MR_SOURCE_BRANCH": e.Branch, "GIT_MR_TARGET_BRANCH": "main",
		"GIT_MR_ACTION": "opened", "GIT_MR_STATUS": "open",
	}
	if diff := cmp.Diff(want, got.Env); diff != "" || got.Image != image {
		t.Errorf("image %q, environment (-want +got):\n%s", got.Image, diff)
	}
	if r.Plan.Stages[1].Tasks[0].Settings[0].Value.Output == nil {
		t.Error("rendering changed the snapshot")
	}
}

func TestRenderOutputs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		outputs map[string]string
		want    string
	}{
		"none":             {nil, "parameter `IMAGE`: task image wrote no output IMAGE"},
		"not all":          {map[string]string{"IMAGE": "x"}, "parameter `SHELL`: task image wrote no output SHELL"},
		"outside its type": {map[string]string{"IMAGE": "x", "SHELL": "fish"}, "parameter `SHELL` takes one of sh, bash, not \"fish\", an output of an earlier task"},
		"a NUL":            {map[string]string{"IMAGE": "\x00"}, "parameter `IMAGE` cannot hold a NUL byte, which no program can be given, an output of an earlier task"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, task := rendering(t, hostileEvent(), tc.outputs)
			if _, err := run.Render(r, task, run.Surroundings{}); err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

// TestSystemNamesAreNobodys holds that nobody can give a parameter, or a variable of ENV, that every task is given.
func TestSystemNamesAreNobodys(t *testing.T) {
	t.Parallel()
	r, task := rendering(t, hostileEvent(), nil)
	names := slices.Sorted(maps.Keys(run.System(r.Plan, task, run.Surroundings{})))
	names = append(names, "TASK_TOKEN", "APP_VERSION", "TRACEPARENT", "MILLRACE_EVENT", "MILLRACE_OUTPUT", "JOB_TASK_UPDATE_TOKEN")
	for _, name := range names {
		for _, given := range []string{
			"params: [{name: " + name + ", value: x}]\n" + oneTask,
			strings.Replace(oneTask, "SCRIPT: make", "SCRIPT: make, ENV: {"+name+": x}", 1),
			strings.Replace(oneTask, "SCRIPT: make", "SCRIPT: make, "+name+": x", 1),
		} {
			_, problems := run.Compile(decode(t, "x.yaml", []byte(given)), compilation())
			want := "`" + name + "` is set for every task and cannot be given: choose another name"
			if !slices.ContainsFunc(problems, func(p pipeline.Problem) bool { return p.Message == want && p.Pos.Line > 0 }) || len(problems) != 1 {
				t.Errorf("%s: problems %v", given, problems)
			}
		}
	}
}
