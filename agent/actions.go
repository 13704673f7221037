package agent

import (
	"context"

	"github.com/millrace-ci/millrace/agent/run"
)

// Cancel ends a run early and returns it as it is then: canceling until its jobs are gone. A run that is over stays as
// it is. Errors: store.ErrNotFound.
func (a *Agent) Cancel(ctx context.Context, id, by string) (run.Run, error) {
	r, err := a.cfg.Runs.Load(ctx, id)
	if err != nil {
		return r, err
	}
	return a.apply(ctx, r, run.Cancel{By: by, Reason: "canceled by " + by, At: a.now()})
}

// Output adds outputs that a task sent while its attempt ran, sealed until its end where the run seals them. Errors:
// store.ErrNotFound, run.ErrStale, run.ErrImpossible.
func (a *Agent) Output(ctx context.Context, id, task string, attempt int, outputs map[string]string) (run.Run, error) {
	r, err := a.cfg.Runs.Load(ctx, id)
	if err != nil {
		return r, err
	}
	if r.Seals() {
		if outputs, err = a.seal(Attempt{Run: id, Task: task, Attempt: attempt}, outputs); err != nil {
			return r, err
		}
	}
	return a.apply(ctx, r, run.Wrote{Task: task, Attempt: attempt, Outputs: outputs, At: a.now()})
}
