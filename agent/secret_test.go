package agent_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

const secretly = `
name: build
on: [push, pull_request]
stages:
  - name: a
    tasks:
      - {name: unit, uses: script@v1, with: {SCRIPT: "true", ENV: {KEY: {secret: deploy/token}}}}
`

const value = "s3cret-of-the-mill"

// leaky is a runner that resolves a secret, as runners do, and whose jobs tell it everywhere.
type leaky struct {
	*fakeRunner
	job runners.Job
}

func (l *leaky) Start(ctx context.Context, job runners.Job) (string, error) {
	l.job = job
	return l.fakeRunner.Start(ctx, job)
}

func (l *leaky) Wait(ctx context.Context, id, uid string, log runners.Log) (runners.Result, error) {
	log.Mask(value, "no", "")
	l.say(id, fmt.Sprintf("plain %s\nencoded %s\ntoken %s\nheld back %s", value, base64.StdEncoding.EncodeToString([]byte("x:"+value)), l.job.Env["TASK_TOKEN"], value[:8]))
	res, err := l.fakeRunner.Wait(ctx, id, uid, log)
	res.Reason, res.Summary, res.Outputs = "said "+value, value, map[string]string{"OUT": value}
	return res, err
}

func (l *leaky) Render(job runners.Job) ([]byte, error) {
	return []byte("token: " + job.Env["TASK_TOKEN"] + "\n"), nil
}

func (l *leaky) Evidence(context.Context, string, string) ([]byte, error) {
	return []byte("event: " + value + "\n"), nil
}

// TestSecretsAreHidden lets a job tell a secret by every way that leaves a runner.
func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, secretly)
		runner := &leaky{fakeRunner: h.runner}
		h.as = runner
		h.secrets = map[string]agent.Secret{"deploy": {From: runners.Keeper{File: "deploy.env"}}}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		synctest.Wait()
		r := h.theRun()
		want := runners.Secret{Name: "deploy", From: runners.Keeper{File: "deploy.env"}, Key: "token", Env: "KEY"}
		if got := runner.job.Secrets; len(got) != 1 || got[0].Name != want.Name || got[0].Env != want.Env || got[0].Key != want.Key || got[0].From.File != want.From.File {
			t.Errorf("the job was given %+v, want %+v", got, want)
		}
		task := r.Tasks[0]
		told := task.Reason + task.Summary + task.Outputs["OUT"]
		for _, kind := range []logs.Kind{logs.Output, logs.Manifest, logs.Evidence} {
			chunk, err := h.logs.Read(t.Context(), logs.Key{Run: r.Plan.ID, Task: "unit", Attempt: 1, Kind: kind}, 0, 0)
			if err != nil || !chunk.Ended || !strings.Contains(string(chunk.Data), "***") {
				t.Errorf("%q: got %q, ended %v, error %v: want something hidden", kind, chunk.Data, chunk.Ended, err)
			}
			told += string(chunk.Data)
			if kind == logs.Output {
				continue
			}
			var texts map[string]string
			if err := yaml.Unmarshal(chunk.Data, &texts); err != nil {
				t.Errorf("%q is no YAML any more: %v in %s", kind, err, chunk.Data)
			}
		}
		if strings.Contains(told, value) || strings.Contains(told, "token-of") || strings.Contains(told, "czNjcmV0") {
			t.Errorf("a secret is told: %s", told)
		}
		if !strings.Contains(told, "held back "+value[:8]) {
			t.Errorf("the end of the log is missing: %s", told)
		}
	})
}

// quoting is a cluster that quotes in its refusal what it refuses.
type quoting struct{ *fakeRunner }

func (q *quoting) Start(_ context.Context, job runners.Job) (string, error) {
	return "", fmt.Errorf("%w: TASK_TOKEN=%s is not allowed here", runners.ErrRefused, job.Env["TASK_TOKEN"])
}

// TestRefusalsAreHidden lets a job be refused in words that hold its token.
func TestRefusalsAreHidden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, retried)
		h.as = &quoting{h.runner}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		synctest.Wait()
		if r := h.theRun(); r.State != run.Failed || !strings.Contains(r.Tasks[0].Reason, "TASK_TOKEN=*** is not allowed") {
			t.Errorf("the run is %s, its task says %q: want it failed, and the token hidden", r.State, r.Tasks[0].Reason)
		}
	})
}

// TestSecretsAreRefused gives a secret to nobody whom the operator did not name, also when he changes his mind later.
func TestSecretsAreRefused(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		policy run.SecretPolicy
		says   string
	}{
		"another repository": {run.SecretPolicy{Repositories: []string{"shop/*"}}, "not for repository mill/flour"},
		"another branch":     {run.SecretPolicy{Refs: []string{"release/*"}}, "given to release/*, not to refs/heads/main"},
		"another event":      {run.SecretPolicy{Events: []string{"tag"}}, "given to tag, not to push"},
		"another template":   {run.SecretPolicy{Templates: []string{"docker_build"}}, "given to tasks of docker_build, not of script"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, secretly)
				h.secrets = map[string]agent.Secret{"deploy": {Policy: c.policy}}
				a, stop, _ := h.agent()
				defer stop()
				h.push(a, pushTo("main"))
				synctest.Wait()
				if r := h.theRun(); r.State != run.Failed || !strings.Contains(r.Reason, c.says) || h.runner.effects("unit") != 0 {
					t.Errorf("the run is %s (%s), want it failed with %q", r.State, r.Reason, c.says)
				}
			})
		})
	}
}
