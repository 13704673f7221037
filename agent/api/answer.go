package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// problem is an answer that is no success; it is sent as problem+json (RFC 9457).
type problem struct {
	status int
	detail string // what happened and what to do, for people
}

func (p problem) Error() string { return p.detail }

// bad is the problem of a request that cannot be understood.
func bad(format string, args ...any) problem {
	return problem{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// send answers with the problem.
func (p problem) send(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // a caller who is gone cannot be told
		"type": "about:blank", "title": http.StatusText(p.status), "status": p.status, "detail": p.detail,
	})
}

// fail answers with the problem that err is. What is not the caller's to know goes to the log only.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p problem
	switch {
	case errors.As(err, &p):
	case errors.Is(err, store.ErrNotFound):
		p = problem{http.StatusNotFound, "no such run: it never was, or it is no longer kept"}
	case errors.Is(err, store.ErrUnreadable):
		s.cfg.Log.ErrorContext(r.Context(), "request failed", "route", r.Pattern, "err", err)
		p = problem{http.StatusInternalServerError, "this run is kept, and this Millrace cannot read it: a newer one wrote it, or it is damaged"}
	case errors.Is(err, inbox.ErrNotFound):
		p = problem{http.StatusNotFound, "no such delivery: it never was, or it is no longer kept"}
	case errors.Is(err, queue.ErrNotFound):
		p = problem{http.StatusNotFound, "this is not among what was given up: it was retried or forgotten, or it is no longer kept"}
	case errors.Is(err, inbox.ErrCursor), errors.Is(err, store.ErrCursor), errors.Is(err, queue.ErrCursor):
		p = bad("cursor: give back a `next` as it came, or leave it out")
	case errors.Is(err, context.Canceled):
		return // the caller went away
	default:
		s.cfg.Log.ErrorContext(r.Context(), "request failed", "route", r.Pattern, "err", err)
		p = problem{http.StatusServiceUnavailable, "what is needed to answer cannot be asked just now: try again in a moment"}
	}
	p.send(w)
}

// answer sends v as JSON.
func answer(w http.ResponseWriter, status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a caller who is gone cannot be told
	return nil
}

// sealed makes every answer one that is not kept, and that no browser takes for something else or shows to another
// site's page: logs and messages are strangers' words.
func sealed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
