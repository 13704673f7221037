package agent

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

// Sketch renders what the first attempt of a task would become, with no run: it starts, asks and keeps nothing. An
// output of an earlier task stands there as <TASK.NAME>, and what hangs on its value is not checked. Errors are those
// of Job and runners.Renderer.
func (a *Agent) Sketch(plan *run.Snapshot, task string, by runners.Renderer) ([]byte, error) {
	at := Attempt{Run: plan.ID, Task: task, Attempt: 1}
	r, _ := run.New(plan)
	for i := range r.Tasks {
		r.Tasks[i].Attempt = 1
	}
	around := a.surroundings(at)
	around.Unknown = markOf
	job, err := a.job(r, at, around)
	if err != nil {
		return nil, errors.New(unmarked(err.Error()))
	}
	manifest, err := by.Render(job)
	if err != nil {
		return nil, fmt.Errorf("%s", unmarked(err.Error()))
	}
	return []byte(unmarked(string(manifest))), nil
}

// markOf is what stands for an output while a job is made: it may stand wherever a value may, also in the name of an
// image, and ends where no name of an output does.
func markOf(task, name string) string { return "0output-of." + task + "." + name + ".0" }

var mark = regexp.MustCompile(`0output-of\.([a-z0-9-]+)\.([A-Za-z0-9_]+)\.0`)

// unmarked makes marks readable.
func unmarked(text string) string { return mark.ReplaceAllString(text, "<$1.$2>") }
