package agent

import (
	"context"
	"fmt"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/run"
)

// maxText and maxWords bound what a run's record keeps of a telling, in characters: of what was said, and of the answer.
const maxText, maxWords = 255, 1000

// notify hands a notice to the forge.
func (p *reporter) notify(ctx context.Context, n report.Notice) (report.Answer, error) {
	forge, ok := p.cfg.Forges[n.Forge]
	if !ok {
		return report.Answer{}, report.Permanent(fmt.Errorf("forge %q is not configured any more", n.Forge))
	}
	return forge.Status.Notify(ctx, n)
}

// notice makes of a run what a listener is told of it.
func (p *reporter) notice(r run.Run, t run.Tell) report.Notice {
	e := r.Plan.Event
	return report.Notice{
		ID: fmt.Sprintf("%s/%s/%s", r.Plan.ID, t.To, t.State), Run: r.Plan.ID,
		Forge: e.Forge, Repo: e.Repo.Name, Commit: e.After, Ref: e.Ref,
		Pipeline: r.Plan.Pipeline, Context: "millrace/" + r.Plan.Pipeline + r.Plan.Context,
		State: report.State(t.State), Text: r.Line(), URL: p.cfg.URL + "/runs/" + r.Plan.ID, At: p.now(),
	}
}

// record is what a run keeps of a telling.
func record(t run.Tell, n report.Notice, answer report.Answer) run.Told {
	told := run.Told{
		To: t.To, State: t.State, Context: n.Context, Text: report.Cut(n.Text, maxText),
		Status: answer.Status, Answer: report.Cut(answer.Words, maxWords),
	}
	if said := string(n.State); said != t.State {
		told.Said = said
	}
	return told
}
