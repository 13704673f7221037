package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// pageSize is how many rows a list shows.
const pageSize = 30

// list is one page of a list.
type list[T any] struct {
	Items  []T
	Next   string
	Filter store.Filter
}

func (s *site) runs(r *http.Request) (view, error) {
	q := r.URL.Query()
	f := store.Filter{Repo: q.Get("repo"), Branch: q.Get("branch"), Pipeline: q.Get("pipeline"), State: run.State(q.Get("state")), Commit: q.Get("commit")}
	runs, next, err := s.cfg.Runs.List(r.Context(), f, q.Get("cursor"), pageSize)
	return view{Page: "runs", Title: "Runs", Part: "runs", Live: q.Get("cursor") == "", Data: list[run.Run]{runs, next, f}}, err
}

// runPage is a run with the ends of its tasks' logs.
type runPage struct {
	run.Run
	Stages []stage
	Place  *place // nil: no lane holds it
}

// Status is what the forge was told last of the run, nil for nothing yet.
func (p runPage) Status() *run.Told {
	for _, t := range slices.Backward(p.Told) {
		if t.To == run.StatusListener && !t.Again {
			return &t
		}
	}
	return nil
}

// Tellings are who was told what, the newest first.
func (p runPage) Tellings() []run.Told {
	all := slices.Clone(p.Told)
	slices.Reverse(all)
	return all
}

type stage struct {
	run.StagePlan
	Tasks []task
}

type task struct {
	run.Task
	tail
	Plan *run.TaskPlan
}

// Exit says with which code the task's command failed, "" where there is none to tell.
func (t task) Exit() string {
	if t.ExitCode == nil || *t.ExitCode <= 0 {
		return ""
	}
	return "exit code " + strconv.Itoa(*t.ExitCode)
}

// shown is the run to which a page refers, nil where there is none to show.
func (s *site) shown(ctx context.Context, id string) (*run.Run, error) {
	found, err := s.cfg.Runs.Load(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrUnreadable):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &found, nil
}

// runPath is where a run's page is.
func runPath(id string) string { return "/runs/" + url.PathEscape(id) }

func (s *site) run(r *http.Request) (view, error) {
	found, err := s.cfg.Runs.Load(r.Context(), r.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	page := runPage{Run: found, Stages: make([]stage, len(found.Plan.Stages))}
	if page.Place, err = s.place(r.Context(), found); err != nil {
		return view{}, err
	}
	for i, plan := range found.Plan.Stages {
		page.Stages[i].StagePlan = plan
	}
	lines := shownLines(len(found.Tasks))
	for _, t := range found.Tasks {
		one := task{Task: t, Plan: &found.Plan.Stages[t.Stage].Tasks[t.Place]}
		if !t.StartedAt.IsZero() {
			key := logs.Key{Run: found.Plan.ID, Task: t.Name, Attempt: t.Attempt}
			if one.tail, err = s.tail(r.Context(), key, lines); err != nil {
				return view{}, err
			}
		}
		page.Stages[t.Stage].Tasks = append(page.Stages[t.Stage].Tasks, one)
	}
	return view{Page: "run", Title: found.Plan.Pipeline + " · " + string(found.State), Part: "runs", Live: !found.Settled(), Data: page}, nil
}
