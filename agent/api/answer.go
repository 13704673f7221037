package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// problem is an answer that is no success; it is sent as problem+json (RFC 9457).
type problem struct {
	status int
	detail string // what happened and what to do, for people
}

func (p problem) Error() string { return p.detail }

// fail answers with the problem that err is. What is not the caller's to know goes to the log only.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p problem
	switch {
	case errors.As(err, &p):
	case errors.Is(err, store.ErrNotFound):
		p = problem{http.StatusNotFound, "no such run: it never was, or it is no longer kept"}
	case errors.Is(err, inbox.ErrNotFound):
		p = problem{http.StatusNotFound, "no such delivery: it never was, or it is no longer kept"}
	case errors.Is(err, inbox.ErrCursor), errors.Is(err, store.ErrCursor):
		p = problem{http.StatusBadRequest, "cursor: give back a `next` as it came, or leave it out"}
	case errors.Is(err, context.Canceled):
		return // the caller went away
	default:
		s.cfg.Log.ErrorContext(r.Context(), "request failed", "route", r.Pattern, "err", err)
		p = problem{http.StatusServiceUnavailable, "the store cannot be asked just now: try again in a moment"}
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // a caller who is gone cannot be told
		"type": "about:blank", "title": http.StatusText(p.status), "status": p.status, "detail": p.detail,
	})
}

// answer sends v as JSON.
func answer(w http.ResponseWriter, status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a caller who is gone cannot be told
	return nil
}

const (
	defaultLimit = 50
	largestLimit = 500
)

func limitOf(s string) (int, error) {
	if s == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > largestLimit {
		return 0, problem{http.StatusBadRequest, fmt.Sprintf("limit: say a number from 1 to %d", largestLimit)}
	}
	return n, nil
}
