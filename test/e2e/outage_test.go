//go:build lab

package e2e_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/runners"
)

// counting is a pipeline of two tasks side by side that count the seconds: one ends while the API server is gone, the
// other when it is back.
const counting = `name: count
on: push
concurrency: {group: "{commit}"}
stages:
  - name: all
    parallel: true
    tasks:
      - {name: short, uses: script@v1, with: {IMAGE: %[1]s, SCRIPT: '%[2]s 20); do echo "second $i"; sleep 1; done; echo SAID=short >>$MILLRACE_OUTPUT'}}
      - {name: long, uses: script@v1, with: {IMAGE: %[1]s, SCRIPT: '%[2]s 80); do echo "second $i"; sleep 1; done; echo SAID=long >>$MILLRACE_OUTPUT'}}
`

// TestOutage has the API server gone for a minute, while a job ends and another goes on; meanwhile something is pushed,
// Redis is killed and starts again, and the agent is told to end and starts again. Nothing of it changes what comes out.
func TestOutage(t *testing.T) {
	w := newWorld(t, newGitea(t, false))
	c := newCensus(t, w.lab)
	if err := w.forge.create("flour"); err != nil {
		t.Fatal(err)
	}
	d := w.serve()
	w.step("ready")

	files := map[string]string{".millrace.yaml": fmt.Sprintf(counting, labtest.Busybox, "for i in $(seq")}
	before := w.forge.push(t, "flour", "Before", files)
	for _, name := range []string{"short", "long"} {
		poll(t, time.Minute, name+" has said something", func() bool {
			all := w.runs(before)
			return len(all) == 1 && task(t, all[0], name).State == "running" && strings.Contains(w.kept(all[0], name, "log"), "task second 1\n")
		})
	}
	w.step("two jobs run")

	w.lab.Kill(t, labtest.APIServer)
	gone := time.After(time.Minute)
	w.step("the API server is killed")
	files[".millrace.yaml"] = fmt.Sprintf("name: count\non: push\nconcurrency: {group: '{commit}'}\nstages: [{name: one, tasks: [{name: only, uses: script@v1, with: {IMAGE: %s, SCRIPT: 'echo second 1'}}]}]\n", labtest.Busybox)
	during := w.forge.push(t, "flour", "During", files)
	poll(t, time.Minute, "the push is planned", func() bool { return len(w.runs(during)) == 1 })
	w.step("something is pushed")
	w.redis.Kill()
	w.redis.Restart()
	poll(t, time.Minute, "millrace has its Redis again", func() bool { return w.answers("/readyz") })
	w.step("Redis was killed and is back")
	if code := d.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("millrace ended with %d", code)
	}
	w.step("the agent has ended")
	w.serve()
	w.step("another agent is ready")
	<-gone
	w.lab.Start(t, labtest.APIServer)
	w.step("the API server is back")

	for _, commit := range []string{before, during} {
		if s := w.forge.verdict(t, "flour", commit, "count", 3*time.Minute); s.state != "success" {
			t.Errorf("%s: %+v", commit, s)
		}
	}
	w.step("all is green")
	names := map[string]bool{}
	for commit, tasks := range map[string]map[string]int{before: {"short": 20, "long": 80}, during: {"only": 1}} {
		r := w.run(commit)
		for name, seconds := range tasks {
			names[runners.JobID(r.ID, 1, name)] = true
			if got := task(t, r, name).Outputs["SAID"]; name != "only" && got != name {
				t.Errorf("%s has the output %q", name, got)
			}
			w.counted(w.kept(r, name, "log"), seconds)
		}
	}
	c.check(t, names)
	w.step("looked at")
}

// counted checks that a log has each second once, in order.
func (w *world) counted(log string, seconds int) {
	w.t.Helper()
	next := 1
	for line := range strings.Lines(log) {
		if _, said, ok := strings.Cut(line, " task second "); ok {
			if said != fmt.Sprintf("%d\n", next) {
				w.t.Errorf("second %d is missing, or said twice: %s", next, log)
				return
			}
			next++
		}
	}
	if next != seconds+1 {
		w.t.Errorf("%d seconds, want %d: %s", next-1, seconds, log)
	}
}
