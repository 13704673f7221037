// Package api is what programs ask Millrace over HTTP: runs, their logs, and deliveries with their explanations, as
// JSON under /api/v1. cmd mounts it beside the page, and the commands of the CLI are its first users. It reads the
// stores and tells the agent what people want through Actions; it decides nothing itself.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// Actions is what people may ask of the agent.
type Actions interface {
	// Cancel ends a run early. A run that is over stays as it is. Errors: store.ErrNotFound.
	Cancel(ctx context.Context, id, by string) (run.Run, error)
	// Output adds outputs that a task sent while its attempt ran. Errors: store.ErrNotFound, run.ErrStale,
	// run.ErrImpossible.
	Output(ctx context.Context, id, task string, attempt int, outputs map[string]string) (run.Run, error)
	// Dead lists what was given up: at most limit, beginning after cursor. Errors: queue.ErrCursor.
	Dead(ctx context.Context, cursor string, limit int) (items []queue.Dead[run.Reference], next string, err error)
	// Retry does again what was given up. Errors: queue.ErrNotFound; run.ErrStale for an attempt; inbox.ErrNotFound and
	// store.ErrNotFound for what is no longer kept.
	Retry(ctx context.Context, line, id string) error
	// Forget takes it off the list. Errors: queue.ErrNotFound.
	Forget(ctx context.Context, line, id string) error
	// Replay has a delivery planned again, at another revision if rev is not "", and returns what the replay is kept as.
	// Errors: inbox.ErrNotFound, and those of package triggers, when trying again will not help.
	Replay(ctx context.Context, id, rev string) (delivery string, err error)
	// Rehearse is Replay that keeps and runs nothing: it returns what would be planned.
	Rehearse(ctx context.Context, id, rev string) (store.Plan, []*run.Snapshot, error)
}

// Token is what an attempt of a task proves by that it is it.
type Token func(run, task string, attempt int) string

// Config is what the API answers from.
type Config struct {
	URL     string // base of the links in answers, without a slash at the end
	Runs    store.Runs
	Plans   store.Plans
	Inbox   inbox.Inbox
	Logs    logs.Logs
	Actions Actions
	Token   Token // nil: nothing is taken from tasks
	Log     *slog.Logger
}

// route is one thing that can be asked. An error that it returns is answered by fail.
type route struct {
	method, path string
	answer       func(w http.ResponseWriter, r *http.Request) error
}

// What is said of an attempt of which nothing is kept but its log.
const (
	noManifest = "no manifest of this attempt is kept: it comes when its job is made, and only a runner that makes jobs from manifests has one"
	noEvents   = "no events of this attempt are kept: they come when its job has ended, and only from a runner that sees any"
)

// New makes the handler of everything under /api/.
func New(cfg Config) http.Handler {
	s := &server{cfg}
	routes := []route{
		{http.MethodGet, "/api/v1/runs", s.runs},
		{http.MethodGet, "/api/v1/runs/{id}", s.run},
		{http.MethodPost, "/api/v1/runs/{id}/cancel", s.cancel},
		{http.MethodGet, "/api/v1/runs/{id}/tasks/{task}/log", s.log},
		{http.MethodGet, "/api/v1/runs/{id}/tasks/{task}/manifest", s.kept(logs.Manifest, noManifest)},
		{http.MethodGet, "/api/v1/runs/{id}/tasks/{task}/events", s.kept(logs.Evidence, noEvents)},
		{http.MethodGet, "/api/v1/deliveries", s.deliveries},
		{http.MethodGet, "/api/v1/deliveries/{id}", s.delivery},
		{http.MethodGet, "/api/v1/dead", s.dead},
		{http.MethodPost, "/api/v1/dead/{line}/{id}/retry", s.retry},
		{http.MethodDelete, "/api/v1/dead/{line}/{id}", s.forget},
		{http.MethodPost, "/api/v1/deliveries/{id}/replay", s.replay},
	}
	mux := http.NewServeMux()
	methods := map[string][]string{}
	for _, one := range routes {
		mux.Handle(one.method+" "+one.path, s.handle(one.answer))
		methods[one.path] = append(methods[one.path], one.method)
	}
	for path, allowed := range methods {
		mux.Handle(path, s.handle(only(allowed)))
	}
	mux.Handle("/api/", s.handle(func(http.ResponseWriter, *http.Request) error {
		return problem{http.StatusNotFound, "there is no such route"}
	}))
	return sealed(mux)
}

type server struct{ cfg Config }

func (s *server) handle(answer func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := answer(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// only refuses what comes with another method than those.
func only(methods []string) func(http.ResponseWriter, *http.Request) error {
	allowed := strings.Join(methods, ", ")
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", allowed)
		return problem{http.StatusMethodNotAllowed, "this route knows only " + allowed}
	}
}

func (s *server) runs(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	at, err := placeOf(q, "repo", "branch", "pipeline", "state", "commit")
	if err != nil {
		return err
	}
	f, err := filterOf(q)
	if err != nil {
		return err
	}
	found, next, err := s.cfg.Runs.List(r.Context(), f, at.cursor, at.limit)
	if err != nil {
		return err
	}
	page := Page[Run]{Items: make([]Run, len(found)), Next: next}
	for i, one := range found {
		page.Items[i] = runOf(one, s.cfg.URL)
	}
	return answer(w, http.StatusOK, page)
}

func (s *server) run(w http.ResponseWriter, r *http.Request) error {
	found, err := s.cfg.Runs.Load(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	shown := runOf(found, s.cfg.URL)
	shown.Tellings = tellingsOf(found)
	if found.Held() {
		if err := s.place(r.Context(), found, shown.Lane); err != nil {
			return err
		}
	}
	return answer(w, http.StatusOK, shown)
}

func (s *server) cancel(w http.ResponseWriter, r *http.Request) error {
	found, err := s.cfg.Actions.Cancel(r.Context(), r.PathValue("id"), "the API")
	if err != nil {
		return err
	}
	return answer(w, http.StatusAccepted, runOf(found, s.cfg.URL))
}

func (s *server) deliveries(w http.ResponseWriter, r *http.Request) error {
	at, err := placeOf(r.URL.Query())
	if err != nil {
		return err
	}
	records, next, err := s.cfg.Inbox.List(r.Context(), at.cursor, at.limit)
	if err != nil {
		return err
	}
	page := Page[Delivery]{Items: make([]Delivery, len(records)), Next: next}
	for i, rec := range records {
		if page.Items[i], err = s.explained(r.Context(), rec); err != nil {
			return err
		}
	}
	return answer(w, http.StatusOK, page)
}

func (s *server) delivery(w http.ResponseWriter, r *http.Request) error {
	rec, err := s.cfg.Inbox.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	d, err := s.explained(r.Context(), rec)
	if err != nil {
		return err
	}
	d.Headers = rec.Header
	return answer(w, http.StatusOK, d)
}

// explained is the delivery with what was made of it.
func (s *server) explained(ctx context.Context, rec inbox.Record) (Delivery, error) {
	plan, err := s.cfg.Plans.Plan(ctx, rec.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Delivery{}, err
	}
	return deliveryOf(rec, plan, s.cfg.URL), nil
}
