package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers/inbox"
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
	return view{Title: "Runs", Part: "runs", Live: q.Get("cursor") == "", Data: list[run.Run]{runs, next, f}}, err
}

// runPage is a run with the ends of its tasks' logs.
type runPage struct {
	run.Run
	Stages []stage
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

func (s *site) run(r *http.Request) (view, error) {
	found, err := s.cfg.Runs.Load(r.Context(), r.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	page := runPage{Run: found, Stages: make([]stage, len(found.Plan.Stages))}
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
	return view{Title: found.Plan.Pipeline + " · " + string(found.State), Part: "runs", Live: !found.Settled(), Data: page}, nil
}

// delivery is a delivery with what was made of it.
type delivery struct {
	inbox.Record
	Plan store.Plan
}

func (s *site) deliveries(r *http.Request) (view, error) {
	cursor := r.URL.Query().Get("cursor")
	records, next, err := s.cfg.Inbox.List(r.Context(), cursor, pageSize)
	if err != nil {
		return view{}, err
	}
	page := list[delivery]{Items: make([]delivery, len(records)), Next: next}
	for i, rec := range records {
		if page.Items[i], err = s.planned(r.Context(), rec); err != nil {
			return view{}, err
		}
	}
	return view{Title: "Deliveries", Part: "deliveries", Live: cursor == "", Data: page}, nil
}

func (s *site) delivery(r *http.Request) (view, error) {
	rec, err := s.cfg.Inbox.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	d, err := s.planned(r.Context(), rec)
	return view{Title: rec.Kind + " · " + stateOf(rec), Part: "deliveries", Live: stateOf(rec) == accepted, Data: d}, err
}

func (s *site) planned(ctx context.Context, rec inbox.Record) (delivery, error) {
	plan, err := s.cfg.Plans.Plan(ctx, rec.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return delivery{}, err
	}
	return delivery{rec, plan}, nil
}
