package agent

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers"
)

// decide says what one event leads to: an explanation for each pipeline of its commit, and a snapshot for each run.
func (a *Agent) decide(ctx context.Context, e triggers.Event) (store.Plan, []*run.Snapshot, error) {
	p := store.Plan{Delivery: e.Delivery, Event: e, At: a.now()}
	if reason := unread(e); reason != "" {
		p.Explanations = []store.Explained{{Explanation: pipeline.Explanation{Reason: reason}}}
		return p, nil, nil
	}
	files, unreadable, err := a.read(ctx, e)
	if err != nil {
		return p, nil, fmt.Errorf("read definitions: %w", err)
	}
	a.cfg.Log.InfoContext(ctx, "definitions read", "delivery", e.Delivery, "repo", e.Repo.Name, "files", len(files)+len(unreadable))
	if len(files)+len(unreadable) == 0 {
		reason := "no .millrace.yaml and no .millrace/*.yaml at this commit"
		p.Explanations = []store.Explained{{Explanation: pipeline.Explanation{Reason: reason}}}
	}
	c := run.Compilation{
		Event: e, Catalogue: a.cfg.Catalogue, Runners: a.runnerInfo(), DefaultRunner: a.cfg.DefaultRunner,
		Cause: run.Cause{Kind: "delivery", ID: e.Delivery}, At: p.At,
	}
	var runs []*run.Snapshot
	add := func(explanation pipeline.Explanation, plan *run.Snapshot) {
		explained := store.Explained{Explanation: explanation}
		if plan != nil {
			explained.Run = plan.ID
			runs = append(runs, plan)
		}
		p.Explanations = append(p.Explanations, explained)
	}
	for _, f := range files {
		add(Decide(f, c))
	}
	for _, u := range unreadable {
		problem := pipeline.Problem{File: u.Path, Pos: param.Pos{Line: 1, Column: 1}, Message: u.Reason}
		add(broken(pipeline.Pipeline{Name: pipeline.FileName(u.Path), File: u.Path}, []pipeline.Problem{problem}, c))
	}
	return p, runs, nil
}

// unread tells why an event's definitions are not even read, "" if they are.
func unread(e triggers.Event) string {
	switch {
	case e.Kind == triggers.Deletion:
		return "a deletion: nothing asks for it"
	case !e.Trusted():
		return "from a fork: not trusted"
	}
	return ""
}

func (a *Agent) read(ctx context.Context, e triggers.Event) ([]triggers.File, []triggers.Unreadable, error) {
	forge, ok := a.cfg.Forges[e.Forge]
	if !ok {
		return nil, nil, fmt.Errorf("forge %q is not configured any more: %w", e.Forge, triggers.ErrPermanent)
	}
	from, err := forge.Access.Access(e.Repo)
	if err != nil {
		return nil, nil, err
	}
	return a.cfg.Definitions.Definitions(ctx, from, triggers.At{Ref: e.Ref, Commit: e.After})
}

func (a *Agent) runnerInfo() map[string]run.RunnerInfo {
	infos := make(map[string]run.RunnerInfo, len(a.cfg.Runners))
	for name, r := range a.cfg.Runners {
		infos[name] = run.RunnerInfo{Kind: r.Kind, Line: r.Line}
	}
	return infos
}

// Decide says what one definition file makes of the event in c: why it matches or not and, where something is to be
// told, the snapshot of a run. A definition that cannot be read makes a run that has failed from its start, so that its
// problems reach the commit by the way that every state takes; a required pipeline that is not affected makes one that
// is skipped. It is pure, so that check, explain and exec decide as the planner does.
func Decide(f triggers.File, c run.Compilation) (pipeline.Explanation, *run.Snapshot) {
	p, problems := pipeline.Decode(f)
	if len(problems) > 0 {
		return broken(p, problems, c)
	}
	e := pipeline.Match(p, c.Event)
	if !e.Matched && !e.Required {
		return e, nil
	}
	plan, problems := run.Compile(p, c)
	switch {
	case len(problems) > 0:
		return broken(p, problems, c)
	case !e.Matched:
		plan.Skip = "not affected: " + e.Reason
	}
	return e, &plan
}

// DecideAnyway is Decide for a person who names the pipeline: whether it wants the event does not matter.
func DecideAnyway(f triggers.File, c run.Compilation) (pipeline.Explanation, *run.Snapshot) {
	p, problems := pipeline.Decode(f)
	if len(problems) > 0 {
		return broken(p, problems, c)
	}
	plan, problems := run.Compile(p, c)
	if len(problems) > 0 {
		return broken(p, problems, c)
	}
	return pipeline.Explanation{Pipeline: p.Name, File: p.File, Matched: true, Reason: "asked for by name"}, &plan
}

// broken is what a definition with problems leads to. A request's small changes (labels, assignees) are not worth a
// second telling.
func broken(p pipeline.Pipeline, problems []pipeline.Problem, c run.Compilation) (pipeline.Explanation, *run.Snapshot) {
	lines := make([]string, len(problems))
	for i, problem := range problems {
		lines[i] = problem.String()
	}
	e := pipeline.Explanation{Pipeline: p.Name, File: p.File, Reason: "the definition has problems: " + strings.Join(lines, "; ")}
	if r := c.Event.Request; r != nil && !brings(r.Action) {
		return e, nil
	}
	return e, &run.Snapshot{
		ID: run.ID(c.Event.ID, p.File), Event: c.Event, Cause: c.Cause, Pipeline: p.Name, File: p.File,
		Problems: problems, CreatedAt: c.At,
	}
}

// brings tells whether a request's action brings commits.
func brings(action string) bool {
	return action == "opened" || action == "synchronize" || action == "reopened"
}
