package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/triggers"
)

const rehearsed = `
name: build
on: push
stages:
  - name: a
    tasks:
      - {name: ship, uses: script@v1, with: {SCRIPT: "rm -rf /"}, dry_run: true}
      - {name: after, uses: script@v1, with: {SCRIPT: "true"}}
`

// drawer is a runner that says what a job becomes.
type drawer struct{ *fakeRunner }

func (drawer) Render(job runners.Job) ([]byte, error) {
	if job.Image == "refused" {
		return nil, fmt.Errorf("%w: of course", runners.ErrRefused)
	}
	return fmt.Appendf(nil, "job: %s\nimage: %s\ncommand: %q\nsecrets: %v\nAMOUNT: %s\n", job.ID, job.Image, job.Command, job.Secrets, job.Env["AMOUNT"]), nil
}

// TestDryRun rehearses one task of a run, twice where the end of the first rehearsal could not be saved.
func TestDryRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ unsaved, unended int }{
		"once": {}, "its end was not saved": {unsaved: 2}, "its log was not ended": {unended: 2}, "neither": {1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, rehearsed)
				h.as = drawer{h.runner}
				h.unsaved, h.unended = c.unsaved, c.unended
				a, stop, _ := h.agent()
				defer stop()
				h.push(a, pushTo("main"))
				time.Sleep(10 * lease)
				synctest.Wait()
				checkRehearsal(t, h)
			})
		})
	}
}

// versions is a drawer of which each version draws otherwise.
type versions struct {
	drawer
	drawn int
}

func (v *versions) Render(job runners.Job) ([]byte, error) {
	v.drawn++
	manifest, err := v.drawer.Render(job)
	return append(manifest, strings.Repeat(fmt.Sprintln("version:", v.drawn), v.drawn)...), err
}

// TestDryRunByAnotherVersion rehearses a task again, after an upgrade: its log is a whole one.
func TestDryRunByAnotherVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, rehearsed)
		by := &versions{drawer: drawer{h.runner}}
		h.as = by
		h.unended = 2
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		time.Sleep(10 * lease)
		synctest.Wait()
		checkRehearsal(t, h)
		if by.drawn < 3 {
			t.Errorf("drawn %d times, want it again and again", by.drawn)
		}
	})
}

// TestDryRunIsRefused rehearses what its runner would not do.
func TestDryRunIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, strings.Replace(rehearsed, `SCRIPT: "rm -rf /"`, `SCRIPT: "rm -rf /", IMAGE: refused`, 1))
		h.as = drawer{h.runner}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		synctest.Wait()
		if r := h.theRun(); r.State != run.Failed || !strings.HasSuffix(r.Tasks[0].Reason, "refused by the runner: of course") {
			t.Errorf("the run is %s, its task says %q: want it failed as its runner says", r.State, r.Tasks[0].Reason)
		}
	})
}

func checkRehearsal(t *testing.T, h *house) {
	t.Helper()
	r := h.theRun()
	ship := r.Tasks[0]
	if r.State != run.Succeeded || ship.State != run.Succeeded || ship.UID != "" || ship.Reason != "dry run: nothing was started" || h.unsaved+h.unended != 0 {
		t.Errorf("the run is %s, its task %+v, to be lost still %d: want both succeeded, and no job", r.State, ship, h.unsaved+h.unended)
	}
	if h.runner.effects("ship") != 0 || h.runner.effects("after") != 1 {
		t.Errorf("jobs started: ship %d, after %d, want none and one", h.runner.effects("ship"), h.runner.effects("after"))
	}
	key := logs.Key{Run: r.Plan.ID, Task: "ship", Attempt: 1}
	said, err := h.logs.Read(t.Context(), key, 0, 0)
	text := string(said.Data)
	key.Kind = logs.Manifest
	kept, err2 := h.logs.Read(t.Context(), key, 0, 0)
	manifest := string(kept.Data)
	if !strings.HasPrefix(manifest, "job: "+runners.JobID(r.Plan.ID, 1, "ship")+"\n") || !strings.Contains(manifest, "rm -rf /") {
		t.Errorf("the manifest is %q", manifest)
	}
	want := ""
	for line := range strings.Lines("dry run: nothing is started. This is what would be:\n" + manifest) {
		want += ship.StartedAt.Format(time.RFC3339Nano) + " millrace " + line
	}
	if err != nil || err2 != nil || !said.Ended || text != want {
		t.Errorf("the log is %q, ended %v, errors %v, %v: want it ended with %q", text, said.Ended, err, err2, want)
	}
}

const sketched = `
name: build
on: push
stages:
  - name: a
    tasks:
      - {name: image, uses: script@v1, with: {SCRIPT: "true"}}
      - name: test
        uses: script@v1
        with: {SCRIPT: "true", IMAGE: {output: image.IMAGE}, ENV: {AMOUNT: {output: image.AMOUNT}, KEY: {secret: deploy/key}}}
      - {name: bad, uses: script@v1, with: {SCRIPT: "true", IMAGE: refused}}
`

// TestSketch renders tasks of a run that never was: outputs that nobody wrote yet have names for values.
func TestSketch(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.secrets = map[string]agent.Secret{"deploy": {From: runners.Keeper{File: "deploy.env"}}}
	a := h.idle()
	event := pushTo("main")
	event.Forge = "gitea"
	d := agent.Decide([]triggers.File{{Path: "a.yaml", Data: []byte(sketched)}}, a.Compilation(event))
	if d[0].Run == nil || len(d[0].Run.Problems) > 0 {
		t.Fatalf("decided %+v", d[0])
	}
	got, err := a.Sketch(d[0].Run, "test", drawer{h.runner})
	for _, want := range []string{"image: <image.IMAGE>\n", "AMOUNT: <image.AMOUNT>\n", "{deploy {", "job: " + runners.JobID(d[0].Run.ID, 1, "test")} {
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("got %q, error %v, want %q in it", got, err, want)
		}
	}
	if _, err := a.Sketch(d[0].Run, "bad", drawer{h.runner}); err == nil || err.Error() != "refused by the runner: of course" {
		t.Errorf("got error %v, want what the runner says", err)
	}
	if len(h.runs()) != 0 || h.runner.effects("test") != 0 {
		t.Error("a sketch left something behind")
	}
}
