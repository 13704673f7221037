package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

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
	return view{Title: "Runs", Live: q.Get("cursor") == "", Data: list[run.Run]{runs, next, f}}, err
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
	Plan  *run.TaskPlan
	Lines []line
	Cut   bool // the log's beginning is left out
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
	for _, t := range found.Tasks {
		one := task{Task: t, Plan: &found.Plan.Stages[t.Stage].Tasks[t.Place]}
		if !t.StartedAt.IsZero() {
			key := logs.Key{Run: found.Plan.ID, Task: t.Name, Attempt: t.Attempt}
			if one.Lines, one.Cut, err = s.logEnd(r.Context(), key); err != nil {
				return view{}, err
			}
		}
		page.Stages[t.Stage].Tasks = append(page.Stages[t.Stage].Tasks, one)
	}
	return view{Title: found.Plan.Pipeline + " · " + string(found.State), Live: !found.Settled(), Data: page}, nil
}

// shownLines is how many lines of a log the page shows; the rest is behind a link.
const shownLines = 500

// logEnd reads the last lines of a log. It goes through all of it: logs of this size (see logs.MaxSize) are read in a
// moment, and lines have no index.
func (s *site) logEnd(ctx context.Context, key logs.Key) (lines []line, cut bool, err error) {
	var data []byte
	for offset := int64(0); ; {
		chunk, err := s.cfg.Logs.Read(ctx, key, offset, 0)
		if err != nil {
			return nil, false, err
		}
		if len(chunk.Data) == 0 {
			break
		}
		data, offset = append(data, chunk.Data...), chunk.Next
	}
	lines = linesOf(data)
	if len(lines) > shownLines {
		return lines[len(lines)-shownLines:], true, nil
	}
	return lines, false, nil
}

func (s *site) deliveries(r *http.Request) (view, error) {
	cursor := r.URL.Query().Get("cursor")
	records, next, err := s.cfg.Inbox.List(r.Context(), cursor, pageSize)
	return view{Title: "Deliveries", Live: cursor == "", Data: list[inbox.Record]{Items: records, Next: next}}, err
}

// deliveryPage is a delivery with what was made of it.
type deliveryPage struct {
	inbox.Record
	Plan store.Plan
}

func (s *site) delivery(r *http.Request) (view, error) {
	rec, err := s.cfg.Inbox.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	plan, err := s.cfg.Plans.Plan(r.Context(), rec.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return view{}, err
	}
	return view{Title: "Delivery " + rec.ID, Live: rec.Planned == nil && rec.Ignored == "", Data: deliveryPage{rec, plan}}, nil
}
