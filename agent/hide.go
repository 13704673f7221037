package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/millrace-ci/millrace/agent/mask"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

// hide hides in what an error says, and where people see it, what this process knows to be secret.
func (a *Agent) hide(text string) string {
	if a.cfg.Known == nil {
		return text
	}
	return a.cfg.Known.Text(text)
}

// hidden is the result without the secrets that m hides.
func hidden(res runners.Result, m *mask.Masker) runners.Result {
	res.Reason, res.Summary = m.Text(res.Reason), m.Text(res.Summary)
	res.Outputs = hiddenOutputs(res.Outputs, m)
	return res
}

func hiddenOutputs(outputs map[string]string, m *mask.Masker) map[string]string {
	if len(outputs) == 0 {
		return nil
	}
	shown := make(map[string]string, len(outputs))
	for name, value := range outputs {
		shown[name] = m.Text(value)
	}
	return shown
}

// withSent is the result with the outputs that the attempt's task has sent as well, without the secrets that m hides.
// Who took them in did not know the job's secrets; whoever has no m, because the job's runner has not told them, keeps
// none of what was sent.
func (a *Agent) withSent(ctx context.Context, res runners.Result, r run.Run, at Attempt, m *mask.Masker) runners.Result {
	t, _, _ := r.Task(at.Task)
	if m == nil || len(t.Outputs) == 0 {
		return res
	}
	sent := t.Outputs
	if r.Seals() {
		sent = a.unseal(ctx, at, sent)
	}
	all := hiddenOutputs(sent, m)
	if all == nil {
		return res
	}
	maps.Copy(all, res.Outputs)
	res.Outputs = all
	return res
}

// unhideable ends an attempt whose secrets cannot be hidden, which its runner did not find out: its job is ended, and
// nothing that it has said is kept.
func (w *worker) unhideable(ctx context.Context, r run.Run, at Attempt, why error) error {
	if err := w.runner.Stop(ctx, at.job()); err != nil {
		return fmt.Errorf("stop job whose secrets cannot be hidden: %w", err)
	}
	return w.end(ctx, r, at, *w.refused(why), nil)
}

// concealed is an error of which only the text is shown.
type concealed struct {
	err  error
	text string
}

func (c concealed) Error() string { return c.text }
func (c concealed) Unwrap() error { return c.err }

// conceal hides in what an error says what the log hides: a cluster quotes what it refuses, with the task's environment.
func (w *logWriter) conceal(err error) error {
	if err == nil || errors.Is(err, errHandBack) {
		return err
	}
	m, none := w.hide()
	if none != nil {
		return concealed{err, none.Error()}
	}
	return concealed{err, m.Text(err.Error())}
}
