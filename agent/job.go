package agent

import (
	"encoding/json"
	"fmt"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

// job makes the job of an attempt out of the run's snapshot and the outputs of its earlier tasks. An error is the
// author's or the operator's to mend: the attempt is refused with it.
func (w *worker) job(r run.Run, at Attempt) (runners.Job, error) {
	t, plan, _ := r.Task(at.Task)
	rendered, err := run.Render(r, t, w.cfg.URL)
	if err != nil {
		return runners.Job{}, err
	}
	event, err := json.Marshal(r.Plan.Event)
	if err != nil {
		return runners.Job{}, fmt.Errorf("write event: %w", err)
	}
	source, err := w.source(r)
	if err != nil {
		return runners.Job{}, err
	}
	return runners.Job{
		ID: at.job(), Run: at.Run, Task: at.Task, Attempt: at.Attempt,
		Source: source, Image: rendered.Image, Command: rendered.Command, Env: rendered.Env,
		Event: event, Timeout: plan.Timeout, Grace: w.cfg.StopGrace,
	}, nil
}

// source is where the commit comes from. An event without a forge (millrace exec) has none: its task runs where the
// runner stands.
func (w *worker) source(r run.Run) (runners.Source, error) {
	e := r.Plan.Event
	if e.Forge == "" {
		return runners.Source{}, nil
	}
	forge, ok := w.cfg.Forges[e.Forge]
	if !ok {
		return runners.Source{}, fmt.Errorf("forge %q is not configured any more", e.Forge)
	}
	from, err := forge.Access.Access(e.Repo)
	if err != nil {
		return runners.Source{}, err
	}
	return runners.Source{
		URL: from.URL, Username: from.Username, Password: string(from.Password), Ref: e.Ref, Commit: e.After,
	}, nil
}
