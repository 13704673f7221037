package agent_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/mask"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/triggers"
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

// sender is a leaky runner whose job sends outputs while it runs, from wherever it runs.
type sender struct {
	leaky
	send func(map[string]string)
}

func (s *sender) Wait(ctx context.Context, id, uid string, log runners.Log) (runners.Result, error) {
	s.send(map[string]string{"SENT": "sent " + value, "OUT": "of " + value, "TOKEN": s.job.Env["TASK_TOKEN"], "TAG": "v1"})
	return s.leaky.Wait(ctx, id, uid, log)
}

// TestSentOutputsAreHidden has a task that sends secrets as outputs: whoever takes them in does not know them, so they
// are hidden at the end, also what arrives in the last moment.
func TestSentOutputsAreHidden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, secretly)
		h.secrets = map[string]agent.Secret{"deploy": {From: runners.Keeper{File: "deploy.env"}}}
		s := &sender{leaky: leaky{fakeRunner: h.runner}}
		h.as = s
		a, stop, _ := h.agent()
		defer stop()
		s.send = func(outputs map[string]string) {
			if _, err := a.Output(t.Context(), h.theRun().Plan.ID, "unit", 1, outputs); err != nil {
				t.Error(err)
			}
			for name, kept := range h.theRun().Tasks[0].Outputs {
				if len(kept) == 0 || strings.Contains(kept, value) || strings.Contains(kept, outputs[name]) {
					t.Errorf("until the end %s is kept as %q", name, kept)
				}
			}
		}
		h.push(a, pushTo("main"))
		synctest.Wait()
		want := map[string]string{"SENT": "sent ***", "OUT": "***", "TOKEN": "***", "TAG": "v1"}
		if got := h.theRun().Tasks[0].Outputs; !maps.Equal(got, want) {
			t.Errorf("got outputs %q, want %q", got, want)
		}
	})
}

// TestSentOutputsOutliveTheirWorker kills the agent that took outputs in: the next one hides the secrets in them. One whose
// tokens are others cannot read them, and keeps none.
func TestSentOutputsOutliveTheirWorker(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, secret string
		want         map[string]string
	}{
		{"the same server secret", "token", map[string]string{"SENT": "sent ***", "OUT": "***", "TOKEN": "***", "TAG": "v1"}},
		{"another server secret", "other", map[string]string{"OUT": "***"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, secretly)
				h.secrets = map[string]agent.Secret{"deploy": {From: runners.Keeper{File: "deploy.env"}}}
				s := &sender{leaky: leaky{fakeRunner: h.runner}}
				h.as = s
				end := h.runner.gate("unit")
				a, _, kill := h.agent()
				s.send = func(outputs map[string]string) {
					if _, err := a.Output(t.Context(), h.theRun().Plan.ID, "unit", 1, outputs); err != nil {
						t.Error(err)
					}
				}
				h.push(a, pushTo("main"))
				synctest.Wait()
				kill()
				h.server, s.send = c.secret, func(map[string]string) {}
				_, stop, _ := h.agent()
				defer stop()
				time.Sleep(2 * lease)
				end <- runners.Result{Class: runners.Succeeded, Outputs: map[string]string{"OUT": value}}
				synctest.Wait()
				if got := h.theRun().Tasks[0].Outputs; !maps.Equal(got, c.want) {
					t.Errorf("got outputs %q, want %q", got, c.want)
				}
			})
		})
	}
}

// mute is a runner that cannot find out how a job ended, and says so in words that hold a token.
type mute struct {
	*fakeRunner
	told  []string
	token atomic.Value // of the job that was started last
}

func (m *mute) Start(ctx context.Context, job runners.Job) (string, error) {
	m.token.Store(job.Env["TASK_TOKEN"])
	return m.fakeRunner.Start(ctx, job)
}

func (m *mute) Wait(_ context.Context, _, _ string, log runners.Log) (runners.Result, error) {
	log.Mask(m.told...)
	if _, err := log.Write([]byte("2026-11-23T00:00:00Z task " + value + "\n")); err != nil {
		return runners.Result{}, fmt.Errorf("copy log: %w", err)
	}
	return runners.Result{}, fmt.Errorf("no answer about TASK_TOKEN=%s KEY=%s", m.token.Load(), value)
}

// TestErrorsAreHidden has the daemon's own log tell an error that quotes a secret.
func TestErrorsAreHidden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, retried)
		h.as = &mute{fakeRunner: h.runner, told: []string{value}}
		var said bytes.Buffer
		h.log = slog.New(slog.NewTextHandler(&said, nil))
		a, _, kill := h.agent()
		h.push(a, pushTo("main"))
		synctest.Wait()
		kill()
		if got := said.String(); !strings.Contains(got, "TASK_TOKEN=*** KEY=***") || strings.Contains(got, value) || strings.Contains(got, "token-of") {
			t.Errorf("the daemon's log is\n%s\nwant the error in it, with its secrets hidden", got)
		}
	})
}

// TestSecretsThatCannotBeHidden has a runner tell more than can be hidden, which it did not find out itself: the job is
// ended at once, and not tried for an hour.
func TestSecretsThatCannotBeHidden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		h.as = &mute{fakeRunner: h.runner, told: []string{strings.Repeat("large", 60<<10)}}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		synctest.Wait()
		task := h.theRun().Tasks[0]
		if task.State != run.Failed || task.Class != runners.Refused || !strings.Contains(task.Reason, "give a task fewer or shorter secrets") {
			t.Errorf("the task is %s of class %q: %q, want it refused with what to do", task.State, task.Class, task.Reason)
		}
	})
}

// TestKeptErrorsAreHidden has a delivery be refused, and one be given up, for a reason that quotes what the process knows
// to be secret.
func TestKeptErrorsAreHidden(t *testing.T) {
	t.Parallel()
	for _, err := range []error{fmt.Errorf("fetch https://x:%s@forge: %w", value, triggers.ErrPermanent), fmt.Errorf("fetch https://x:%s@forge: refused", value)} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, green)
			var broken error
			if h.known, broken = mask.New(value); broken != nil {
				t.Fatal(broken)
			}
			h.files.err = err
			a, stop, _ := h.agent()
			defer stop()
			id := h.push(a, pushTo("main"))
			h.after(2 * time.Hour)
			rec, broken := h.inbox.Get(t.Context(), id)
			if broken != nil || rec.Planned == nil || !strings.Contains(rec.Planned.Error, "https://x:***@forge") {
				t.Errorf("the delivery says %+v, %v, want the error without the secret", rec.Planned, broken)
			}
			dead, _, broken := a.Dead(t.Context(), "", 10)
			if broken != nil || len(dead) != 1 || strings.Contains(dead[0].Why, value) {
				t.Errorf("given up: %+v, %v, want one without the secret", dead, broken)
			}
		})
	}
}

// late is a runner that learns of a secret after it has written.
type late struct{ *fakeRunner }

func (l *late) Wait(ctx context.Context, id, uid string, log runners.Log) (runners.Result, error) {
	for _, told := range []string{"first-secret", value, value} {
		if _, err := fmt.Fprintf(log, "2026-11-23T00:00:00Z task first-secret %s\n", value); err != nil {
			return runners.Result{}, err
		}
		log.Mask(told)
	}
	return l.fakeRunner.Wait(ctx, id, uid, log)
}

// TestLateSecretsAreHidden hides a value from the line on before which it was told.
func TestLateSecretsAreHidden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, green)
		h.as = &late{h.runner}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		synctest.Wait()
		chunk, err := h.logs.Read(t.Context(), logs.Key{Run: h.theRun().Plan.ID, Task: "unit", Attempt: 1}, 0, 0)
		want := "task first-secret " + value + "\ntask *** " + value + "\ntask *** ***\n"
		if got := strings.ReplaceAll(string(chunk.Data), "2026-11-23T00:00:00Z ", ""); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	})
}
