package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/queue"
)

// Dead is something that was given up, as answers show it.
type Dead struct {
	Line     string `json:"line"`
	ID       string `json:"id"`
	Delivery string `json:"delivery,omitempty"` // that could not be planned
	Run      string `json:"run,omitempty"`      // whose state could not be told, or
	Task     string `json:"task,omitempty"`     // whose attempt could not be brought to its end
	Attempt  int    `json:"attempt,omitempty"`
	Pipeline string `json:"pipeline,omitempty"` // of that run, if it is still kept, and
	Repo     string `json:"repo,omitempty"`     // where it is from
	Ref      string `json:"ref,omitempty"`
	Error    string `json:"error"`
	Tries    int    `json:"tries"`
	PushedAt stamp  `json:"pushed_at"`
	BuriedAt stamp  `json:"buried_at"`
}

func deadOf(d queue.Dead[run.Reference]) Dead {
	about := d.Item.Value
	return Dead{
		Line: about.Line, ID: d.Item.ID, Delivery: about.Delivery, Run: about.Run, Task: about.Task, Attempt: about.Attempt,
		Error: d.Why, Tries: d.Tries, PushedAt: stamp(d.Pushed), BuriedAt: stamp(d.Buried),
	}
}

// dead lists what was given up.
func (s *server) dead(w http.ResponseWriter, r *http.Request) error {
	at, err := placeOf(r.URL.Query())
	if err != nil {
		return err
	}
	items, next, err := s.cfg.Actions.Dead(r.Context(), at.cursor, at.limit)
	if err != nil {
		return err
	}
	page := Page[Dead]{Items: make([]Dead, len(items)), Next: next}
	for i, d := range items {
		if page.Items[i], err = s.about(r.Context(), deadOf(d)); err != nil {
			return err
		}
	}
	return answer(w, http.StatusOK, page)
}

// about adds what people know the item's run by.
func (s *server) about(ctx context.Context, d Dead) (Dead, error) {
	if d.Run == "" {
		return d, nil
	}
	found, err := s.cfg.Runs.Load(ctx, d.Run)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrUnreadable) {
		return d, nil
	}
	if err != nil {
		return d, err
	}
	d.Pipeline, d.Repo, d.Ref = found.Plan.Pipeline, found.Plan.Event.Repo.Name, found.Plan.Event.Ref
	return d, nil
}

// retry does again what was given up.
func (s *server) retry(w http.ResponseWriter, r *http.Request) error {
	line, id := r.PathValue("line"), r.PathValue("id")
	err := s.cfg.Actions.Retry(r.Context(), line, id)
	if errors.Is(err, run.ErrStale) {
		return problem{http.StatusConflict, fmt.Sprintf("an attempt that was given up has ended as lost and is not started again: "+
			"its run says whether another followed it. Push again for a new run, and forget this one (DELETE /api/v1/dead/%s/%s)", line, id)}
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// forget takes something off the list of what was given up.
func (s *server) forget(w http.ResponseWriter, r *http.Request) error {
	if err := s.cfg.Actions.Forget(r.Context(), r.PathValue("line"), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
