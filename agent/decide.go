package agent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers"
)

// decide says what one event leads to: an explanation for each pipeline of its commit, and a snapshot for each run.
func (a *Agent) decide(ctx context.Context, e triggers.Event, cause run.Cause, b *beside) (store.Plan, []*run.Snapshot, error) {
	p := store.Plan{Delivery: e.Delivery, Event: e, Cause: cause, At: a.now()}
	if reason := unread(e); reason != "" {
		p.Explanations = []store.Explained{{Explanation: pipeline.Explanation{Reason: reason}}}
		return p, nil, nil
	}
	files, unreadable, err := a.read(ctx, e)
	if err != nil {
		return p, nil, fmt.Errorf("read definitions: %w", err)
	}
	if len(files)+len(unreadable) == 0 {
		reason := "no .millrace.yaml and no .millrace/*.yaml at this commit"
		p.Explanations = []store.Explained{{Explanation: pipeline.Explanation{Reason: reason}}}
	}
	c := a.Compilation(e)
	c.Cause, c.At = cause, p.At
	decisions := decideBy(b.match, files, c)
	if !b.waits {
		a.cfg.Log.InfoContext(ctx, "definitions read", "delivery", e.Delivery, "repo", e.Repo.Name, "files", len(files)+len(unreadable))
	}
	for _, u := range unreadable {
		problem := pipeline.Problem{File: u.Path, Pos: param.Pos{Line: 1, Column: 1}, Message: u.Reason}
		decisions = append(decisions, broken(pipeline.Pipeline{Name: pipeline.FileName(u.Path), File: u.Path}, []pipeline.Problem{problem}, c))
	}
	var runs []*run.Snapshot
	for _, d := range decisions {
		explained := store.Explained{Explanation: d.Explanation}
		if d.Run != nil {
			explained.Run = d.Run.ID
			d.Run.Context = b.own[d.File]
			runs = append(runs, d.Run)
		}
		p.Explanations = append(p.Explanations, explained)
	}
	// Those that are over from the start are made last: the sum of their commit is not to be over before the others are there.
	slices.SortStableFunc(runs, func(a, b *run.Snapshot) int { return over(a) - over(b) })
	return p, runs, nil
}

// over is 1 for a run that is over from its start, else 0.
func over(s *run.Snapshot) int {
	if len(s.Problems) > 0 || s.Skip != "" {
		return 1
	}
	return 0
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
	from, err := a.access(e)
	if err != nil {
		return nil, nil, err
	}
	return a.cfg.Definitions.Definitions(ctx, from, triggers.At{Ref: e.Ref, Commit: e.After})
}

// access is how an event's repository is fetched.
func (a *Agent) access(e triggers.Event) (triggers.Access, error) {
	forge, ok := a.cfg.Forges[e.Forge]
	if !ok {
		return triggers.Access{}, fmt.Errorf("forge %q is not configured any more: %w", e.Forge, triggers.ErrPermanent)
	}
	return forge.Access.Access(e.Repo)
}

// Compilation is what this agent makes snapshots of for an event, but for their cause and time.
func (a *Agent) Compilation(e triggers.Event) run.Compilation {
	return run.Compilation{
		Event: e, Catalogue: a.cfg.Catalogue, Runners: a.runnerInfo(), DefaultRunner: a.cfg.DefaultRunner, Secrets: a.policies(),
	}
}

func (a *Agent) runnerInfo() map[string]run.RunnerInfo {
	infos := make(map[string]run.RunnerInfo, len(a.cfg.Runners))
	for name, r := range a.cfg.Runners {
		infos[name] = run.RunnerInfo{Kind: r.Kind, Line: r.Line}
	}
	return infos
}

func (a *Agent) policies() map[string]run.SecretPolicy {
	all := make(map[string]run.SecretPolicy, len(a.cfg.Secrets))
	for name, s := range a.cfg.Secrets {
		all[name] = s.Policy
	}
	return all
}

// Decision is what one definition file makes of an event: why it matches or not and, where something is to be told,
// the snapshot of a run.
type Decision struct {
	pipeline.Explanation
	Run *run.Snapshot
}

// Decide decides for each definition file of a commit what it makes of the event in c. A definition that cannot be
// read makes a run that has failed from its start, so that its problems reach the commit by the way that every state
// takes; a required pipeline that is not affected makes one that is skipped. It is pure, so that explain and exec decide
// as the planner does.
func Decide(files []triggers.File, c run.Compilation) []Decision {
	return decideBy(pipeline.Match, files, c)
}

// DecideAnyway is Decide for a person who names the pipeline: what it asks for does not matter.
func DecideAnyway(files []triggers.File, c run.Compilation) []Decision {
	return decideBy(func(p pipeline.Pipeline, _ triggers.Event) pipeline.Explanation {
		return pipeline.Explanation{Pipeline: p.Name, File: p.File, Matched: true, Reason: "asked for by name"}
	}, files, c)
}

func decideBy(match func(pipeline.Pipeline, triggers.Event) pipeline.Explanation, files []triggers.File, c run.Compilation) []Decision {
	var names pipeline.Names
	decisions, sum := make([]Decision, len(files)), false
	for i, f := range files {
		p, problems := pipeline.Decode(f)
		sum = sum || p.Status.Sum
		if taken := names.Taken(p); len(taken) > 0 { // told under a name of its own, or it would hide the first one's state
			p.Name, problems = pipeline.FileName(f.Path), append(problems, taken...)
		}
		if len(problems) > 0 {
			decisions[i] = broken(p, allProblems(f, p, problems, c), c)
			continue
		}
		decisions[i] = decide(f, p, match(p, c.Event), c)
	}
	for _, d := range decisions {
		if d.Run != nil {
			d.Run.Status.Sum = sum // where one pipeline asks for the sum, the others are part of it
		}
	}
	return decisions
}

// Check tells all that is wrong with one definition, as far as it does not hang on who runs it.
func Check(f triggers.File, names *pipeline.Names, c run.Compilation) []pipeline.Problem {
	p, problems := pipeline.Decode(f)
	return allProblems(f, p, append(problems, names.Taken(p)...), c)
}

// allProblems adds to the problems of a definition those that only its templates tell, so that an author sees all at
// once. What stands on a line that has a problem already may only follow from that one, and is left out.
func allProblems(f triggers.File, p pipeline.Pipeline, problems []pipeline.Problem, c run.Compilation) []pipeline.Problem {
	lines := map[int]bool{}
	for _, p := range problems {
		lines[p.Pos.Line] = true
	}
	_, more := run.Compile(p, c)
	for _, m := range pipeline.Quote(f, more) {
		if m.Pos.Line > 0 && !lines[m.Pos.Line] {
			problems = append(problems, m)
		}
	}
	slices.SortStableFunc(problems, func(a, b pipeline.Problem) int { return cmp.Or(a.Pos.Line-b.Pos.Line, a.Pos.Column-b.Pos.Column) })
	return problems
}

// decide does it for one sound definition.
func decide(f triggers.File, p pipeline.Pipeline, e pipeline.Explanation, c run.Compilation) Decision {
	if !e.Matched && !e.Required {
		return Decision{Explanation: e}
	}
	plan, problems := run.Compile(p, c)
	if len(problems) > 0 {
		return broken(p, pipeline.Quote(f, problems), c)
	}
	if !e.Matched {
		plan.Skip, plan.Lane = "not affected: "+e.Reason, nil
	}
	return Decision{e, &plan}
}

// broken is what a definition with problems leads to. A request's small changes (labels, assignees) are not worth a
// second telling.
func broken(p pipeline.Pipeline, problems []pipeline.Problem, c run.Compilation) Decision {
	lines := make([]string, len(problems))
	for i, problem := range problems {
		lines[i] = problem.String()
	}
	e := pipeline.Explanation{Pipeline: p.Name, File: p.File, Reason: "the definition has problems: " + strings.Join(lines, "; ")}
	if r := c.Event.Request; r != nil && !brings(r.Action) {
		return Decision{Explanation: e}
	}
	return Decision{e, &run.Snapshot{
		ID: run.ID(c.Event.ID, p.File), Event: c.Event, Cause: c.Cause, Pipeline: p.Name, File: p.File,
		Problems: problems, CreatedAt: c.At,
	}}
}

// brings tells whether a request's action brings commits.
func brings(action string) bool {
	return action == "opened" || action == "synchronize" || action == "reopened"
}
