// Package api is what programs ask Millrace over HTTP: runs, their logs, and deliveries with their explanations, as
// JSON under /api/v1. cmd mounts it beside the page, and the commands of the CLI are its first users. It reads the
// stores and tells the agent what people want through Actions; it decides nothing itself.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// Actions is what people may ask of the agent.
type Actions interface {
	// Cancel ends a run early. A run that is over stays as it is. Errors: store.ErrNotFound.
	Cancel(ctx context.Context, id, by string) (run.Run, error)
}

// Config is what the API answers from.
type Config struct {
	URL     string // base of the links in answers, without a slash at the end
	Runs    store.Runs
	Plans   store.Plans
	Inbox   inbox.Inbox
	Logs    logs.Logs
	Actions Actions
	Log     *slog.Logger
}

// New makes the handler of everything under /api/.
func New(cfg Config) http.Handler {
	s := &server{cfg}
	mux := http.NewServeMux()
	handle := func(pattern string, h func(w http.ResponseWriter, r *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := h(w, r); err != nil {
				s.fail(w, r, err)
			}
		})
	}
	handle("GET /api/v1/runs", s.runs)
	handle("GET /api/v1/runs/{id}", s.run)
	handle("POST /api/v1/runs/{id}/cancel", s.cancel)
	handle("GET /api/v1/runs/{id}/tasks/{task}/log", s.log)
	handle("GET /api/v1/deliveries", s.deliveries)
	handle("GET /api/v1/deliveries/{id}", s.delivery)
	handle("/api/", func(http.ResponseWriter, *http.Request) error {
		return problem{http.StatusNotFound, "there is no such route"}
	})
	return mux
}

type server struct{ cfg Config }

func (s *server) runs(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	limit, err := limitOf(q.Get("limit"))
	if err != nil {
		return err
	}
	f := store.Filter{
		Repo: q.Get("repo"), Branch: q.Get("branch"), Pipeline: q.Get("pipeline"),
		State: run.State(q.Get("state")), Commit: q.Get("commit"),
	}
	found, next, err := s.cfg.Runs.List(r.Context(), f, q.Get("cursor"), limit)
	if err != nil {
		return err
	}
	page := Page[Run]{Items: make([]Run, len(found)), Next: next}
	for i, one := range found {
		page.Items[i] = RunOf(one, s.cfg.URL)
	}
	return answer(w, http.StatusOK, page)
}

func (s *server) run(w http.ResponseWriter, r *http.Request) error {
	found, err := s.cfg.Runs.Load(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, RunOf(found, s.cfg.URL))
}

func (s *server) cancel(w http.ResponseWriter, r *http.Request) error {
	found, err := s.cfg.Actions.Cancel(r.Context(), r.PathValue("id"), "the API")
	if err != nil {
		return err
	}
	return answer(w, http.StatusAccepted, RunOf(found, s.cfg.URL))
}

func (s *server) deliveries(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	limit, err := limitOf(q.Get("limit"))
	if err != nil {
		return err
	}
	records, next, err := s.cfg.Inbox.List(r.Context(), q.Get("cursor"), limit)
	if err != nil {
		return err
	}
	page := Page[Delivery]{Items: make([]Delivery, len(records)), Next: next}
	for i, rec := range records {
		page.Items[i] = deliveryOf(rec, store.Plan{}, s.cfg.URL)
	}
	return answer(w, http.StatusOK, page)
}

func (s *server) delivery(w http.ResponseWriter, r *http.Request) error {
	d, err := LoadDelivery(r.Context(), s.cfg, r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, d)
}

// LoadDelivery reads a delivery with its explanations, for the API and the page. Errors: inbox.ErrNotFound.
func LoadDelivery(ctx context.Context, cfg Config, id string) (Delivery, error) {
	rec, err := cfg.Inbox.Get(ctx, id)
	if err != nil {
		return Delivery{}, err
	}
	plan, err := cfg.Plans.Plan(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Delivery{}, err
	}
	return deliveryOf(rec, plan, cfg.URL), nil
}

// stamp is how times look in answers: RFC 3339, UTC, milliseconds; nil for none.
type stamp time.Time

// MarshalJSON writes the time, or null.
func (s stamp) MarshalJSON() ([]byte, error) {
	t := time.Time(s)
	if t.IsZero() {
		return []byte("null"), nil
	}
	return []byte(`"` + t.UTC().Format("2006-01-02T15:04:05.000Z07:00") + `"`), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *stamp) UnmarshalJSON(data []byte) error { return (*time.Time)(s).UnmarshalJSON(data) }
