// Package web is the page: runs, one run with its tasks and their logs, and deliveries with what was made of them. cmd
// mounts it beside the API. It works without JavaScript; with it, a page of something that is still going on renews
// itself. It shows and changes nothing, asks nothing of other sites, and trusts no text that it shows.
package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// policy lets a page load what this server serves, and nothing else: logs and messages are strangers' words.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Config is what the page shows.
type Config struct {
	Runs  store.Runs
	Plans store.Plans
	Inbox inbox.Inbox
	Logs  logs.Logs
	Now   func() time.Time
	Log   *slog.Logger
}

// New makes the handler of the page.
func New(cfg Config) http.Handler {
	files := readFiles()
	s := &site{cfg: cfg, pages: parse(words(cfg.Now, files))}
	mux := http.NewServeMux()
	mux.Handle("GET /static/{name}", files)
	mux.HandleFunc("GET /{$}", s.handle("runs", s.runs))
	mux.HandleFunc("GET /runs/{id}", s.handle("run", s.run))
	mux.HandleFunc("GET /deliveries", s.handle("deliveries", s.deliveries))
	mux.HandleFunc("GET /deliveries/{id}", s.handle("delivery", s.delivery))
	mux.HandleFunc("/", s.handle("problem", func(*http.Request) (view, error) { return view{}, errNoPage }))
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

// view is what the layout shows: a title, the part of the site it belongs to, whether it may still change, and the
// page's own data.
type view struct {
	Title string
	Part  string
	Live  bool
	Data  any
}

var errNoPage = errors.New("no such page")

// handle makes a handler of a function that gathers what a page shows.
func (s *site) handle(page string, gather func(*http.Request) (view, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := gather(r)
		status, name := http.StatusOK, page
		if err != nil {
			status, name, v = s.problem(r, err)
		}
		var body bytes.Buffer // rendered whole before the head is sent, so that an error is not half a page
		if err := s.pages[name].Execute(&body, v); err != nil {
			s.cfg.Log.ErrorContext(r.Context(), "page not rendered", "page", name, "err", err)
			http.Error(w, "the page cannot be shown: please report it", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write(harmless(body.Bytes())) // a reader who is gone cannot be told
	}
}

// problem is the page for an error.
func (s *site) problem(r *http.Request, err error) (int, string, view) {
	status, text := http.StatusServiceUnavailable, "The store cannot be asked just now. Try again in a moment."
	switch {
	case errors.Is(err, errNoPage):
		status, text = http.StatusNotFound, "There is no page at this address."
	case errors.Is(err, store.ErrNotFound):
		status, text = http.StatusNotFound, "This run never was, or it is no longer kept."
	case errors.Is(err, inbox.ErrNotFound):
		status, text = http.StatusNotFound, "This delivery never was, or it is no longer kept."
	case errors.Is(err, store.ErrCursor), errors.Is(err, inbox.ErrCursor):
		status, text = http.StatusBadRequest, "There is no such place in the list."
	case errors.Is(err, context.Canceled): // the reader went away
	default:
		s.cfg.Log.ErrorContext(r.Context(), "page not gathered", "route", r.Pattern, "err", err)
	}
	return status, "problem", view{Title: fmt.Sprintf("%d %s", status, http.StatusText(status)), Data: text}
}
