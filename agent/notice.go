package agent

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers"
)

const (
	maxText  = 255         // characters of what was said that a run's record keeps
	maxWords = 1000        // characters of what was answered
	maxSum   = 1000        // runs of a commit that its sum looks at, the newest
	sumTries = 5           // how often a sum is told anew because it changed while it was told
	sumPause = time.Second // before it is told again after these
)

// sumContext is the context of a commit's sum; those of pipelines and tasks are below it.
const sumContext = "millrace"

// speak tells one listener how the run is, and returns what it said; nothing where that could not be found out. A sum is
// made anew once it was told: runs of the same commit end at the same time, and other agents tell of them. Whoever is
// last at the forge looks after that, and so what stays there is how the runs are. Where they change too fast for that
// its error is a later, which says nothing of the forge.
func (p *reporter) speak(ctx context.Context, r run.Run, t run.Tell) (n report.Notice, answer report.Answer, err error) {
	for range sumTries {
		if n, err = p.notice(ctx, r, t); err != nil {
			return report.Notice{}, answer, err
		}
		if answer, err = p.notify(ctx, n); err != nil || t.To != run.SumListener {
			return n, answer, err
		}
		now, err := p.notice(ctx, r, t)
		if err != nil || now.State == n.State && now.Text == n.Text && slices.Equal(now.Refs, n.Refs) {
			return n, answer, err
		}
	}
	return n, answer, later{sumPause}
}

// notify hands a notice to the forge.
func (p *reporter) notify(ctx context.Context, n report.Notice) (report.Answer, error) {
	forge, ok := p.cfg.Forges[n.Forge]
	if !ok {
		return report.Answer{}, report.Permanent(fmt.Errorf("forge %q is not configured any more", n.Forge))
	}
	return forge.Status.Notify(ctx, n)
}

// notice makes of a run what a listener is told of it. Only for a sum it asks the store, and only that can fail.
func (p *reporter) notice(ctx context.Context, r run.Run, t run.Tell) (report.Notice, error) {
	e := r.Plan.Event
	n := report.Notice{
		ID: fmt.Sprintf("%s/%s/%s", r.Plan.ID, t.To, t.State), Run: r.Plan.ID,
		Forge: e.Forge, Repo: e.Repo.Name, Commit: e.After, Ref: e.Ref,
		Pipeline: r.Plan.Pipeline, Context: sumContext + "/" + r.Plan.Pipeline + r.Plan.Context,
		State: report.State(t.State), Text: r.Line(), URL: p.cfg.URL + "/runs/" + r.Plan.ID, At: p.now(),
	}
	if t.To == run.SumListener {
		return p.sum(ctx, n, e)
	}
	if name := run.ListenedTask(t.To); name != "" {
		task, _, _ := r.Task(name)
		n.Context, n.Text, n.URL = n.Context+"/"+name, task.Line(), n.URL+"#"+name
	}
	if n.State.Final() {
		n.Details = p.details(r, run.ListenedTask(t.To))
	}
	return n, nil
}

// sum makes of n the notice of how all runs of its commit are.
func (p *reporter) sum(ctx context.Context, n report.Notice, e triggers.Event) (report.Notice, error) {
	runs, err := p.runsOf(ctx, e)
	if err != nil {
		return report.Notice{}, fmt.Errorf("sum up commit: %w", err)
	}
	for _, r := range runs {
		if ref := r.Plan.Event.Ref; !slices.Contains(n.Refs, ref) {
			n.Refs = append(n.Refs, ref)
		}
	}
	state, text := run.Sum(runs)
	n.Run, n.Pipeline, n.Context, n.State, n.Text = "", "", sumContext, report.State(state), text
	n.URL = p.cfg.URL + "/?" + url.Values{"commit": {e.After}, "repo": {e.Repo.Name}}.Encode()
	return n, nil
}

// runsOf are the runs of an event's commit, the newest first.
func (p *reporter) runsOf(ctx context.Context, e triggers.Event) (all []run.Run, err error) {
	f := store.Filter{Repo: e.Repo.Name, Commit: e.After}
	for cursor, more := "", true; more; more = cursor != "" && len(all) < maxSum {
		var runs []run.Run
		if runs, cursor, err = p.cfg.Runs.List(ctx, f, cursor, batch); err != nil {
			return nil, err
		}
		for _, r := range runs {
			if r.Plan.Event.Forge == e.Forge {
				all = append(all, r)
			}
		}
	}
	return all, nil
}

// record is what a run keeps of a telling, without the secrets that this process knows.
func (p *reporter) record(t run.Tell, n report.Notice, answer report.Answer) run.Told {
	told := run.Told{
		To: t.To, State: t.State, Context: n.Context, Text: report.Cut(p.hide(n.Text), maxText),
		Status: answer.Status, Answer: report.Cut(p.hide(answer.Words), maxWords),
	}
	if said := string(n.State); said != t.State {
		told.Said = said
	}
	return told
}
