// Package web is the page: runs, one run with its tasks and their logs, deliveries with what was made of them, and what
// was given up. cmd mounts it beside the API, behind the same guard. It works without JavaScript; with it, a page of
// something that is still going on renews itself. It tells the agent what people want through Actions and changes nothing
// itself, asks nothing of other sites, and trusts no text that it shows.
package web

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// policy lets a page load what this server serves, and nothing else: logs and messages are strangers' words.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Actions is what people may ask of the agent on the page.
type Actions interface {
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

// Config is what the page shows, and whom it tells what people want.
type Config struct {
	Runs    store.Runs
	Plans   store.Plans
	Inbox   inbox.Inbox
	Logs    logs.Logs
	Actions Actions
	Now     func() time.Time
	Log     *slog.Logger
}

// maxForm bounds what a form sends, in bytes.
const maxForm = 16 << 10

// New makes the handler of the page. It lets everybody do everything: who may is for the guard in front of it to say.
func New(cfg Config) http.Handler {
	files := readFiles()
	s := &site{cfg: cfg, pages: parse(words(cfg.Now, files))}
	mux := http.NewServeMux()
	mux.Handle("GET /static/{name}", files)
	for pattern, gather := range map[string]func(*http.Request) (view, error){
		"GET /{$}":                     s.runs,
		"GET /runs/{id}":               s.run,
		"GET /deliveries":              s.deliveries,
		"GET /deliveries/{id}":         s.delivery,
		"GET /deliveries/{id}/replay":  func(r *http.Request) (view, error) { return view{To: deliveryPath(r.PathValue("id"))}, nil },
		"POST /deliveries/{id}/replay": s.replay,
		"GET /dead":                    s.dead,
		"GET /dead/{verb}":             func(*http.Request) (view, error) { return view{To: "/dead"}, nil },
		"POST /dead/retry":             s.retry,
		"POST /dead/forget":            s.forget,
		"/":                            func(*http.Request) (view, error) { return view{}, errNoPage },
	} {
		mux.HandleFunc(pattern, s.handle(gather))
	}
	return sealed(mux)
}

// sealed says with every answer what a browser may do with it.
func sealed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

type site struct {
	cfg   Config
	pages map[string]*template.Template
}

// view is the answer to a request: a page in the layout, or where else the browser is to go.
type view struct {
	Page   string // name of its template
	Status int    // 0: 200
	To     string // not "": there is nothing to show but what is there
	Title  string
	Part   string // of the site
	Live   bool   // what it shows may still change
	Data   any    // the page's own
}

var (
	errNoPage = errors.New("no such page")
	errForm   = errors.New("the form cannot be understood")
)

// handle makes a handler of a function that gathers what a page shows.
func (s *site) handle(gather func(*http.Request) (view, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		v, err := gather(r)
		if err != nil {
			v = s.problem(r, err)
		}
		if v.To != "" {
			http.Redirect(w, r, v.To, http.StatusSeeOther)
			return
		}
		var body bytes.Buffer // rendered whole before the head is sent, so that an error is not half a page
		if err := s.pages[v.Page].Execute(&body, v); err != nil {
			s.cfg.Log.ErrorContext(r.Context(), "page not rendered", "page", v.Page, "err", err)
			http.Error(w, "the page cannot be shown: please report it", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(cmp.Or(v.Status, http.StatusOK))
		_, _ = w.Write(harmless(body.Bytes())) // a reader who is gone cannot be told
	}
}

// problem is the page for an error.
func (s *site) problem(r *http.Request, err error) view {
	status, text := http.StatusServiceUnavailable, "What is needed to answer cannot be asked just now. Try again in a moment."
	switch {
	case errors.Is(err, errNoPage):
		status, text = http.StatusNotFound, "There is no page at this address."
	case errors.Is(err, errForm):
		status, text = http.StatusBadRequest, "The form cannot be understood. Go back, load the page again, and send it once more."
	case errors.Is(err, store.ErrNotFound):
		status, text = http.StatusNotFound, "This run never was, or it is no longer kept."
	case errors.Is(err, store.ErrUnreadable):
		s.cfg.Log.ErrorContext(r.Context(), "page not gathered", "route", r.Pattern, "err", err)
		status, text = http.StatusInternalServerError, "This run is kept, and this Millrace cannot read it: a newer one wrote it, or it is damaged."
	case errors.Is(err, inbox.ErrNotFound):
		status, text = http.StatusNotFound, "This delivery never was, or it is no longer kept."
	case errors.Is(err, store.ErrCursor), errors.Is(err, inbox.ErrCursor), errors.Is(err, queue.ErrCursor):
		status, text = http.StatusBadRequest, "There is no such place in the list."
	case errors.Is(err, context.Canceled): // the reader went away
	default:
		s.cfg.Log.ErrorContext(r.Context(), "page not gathered", "route", r.Pattern, "err", err)
	}
	return view{Page: "problem", Status: status, Title: fmt.Sprintf("%d %s", status, http.StatusText(status)), Data: text}
}
