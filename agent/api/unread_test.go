package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/api"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// sick has a run that cannot be read.
type sick struct{ store.Runs }

func (s sick) List(context.Context, store.Filter, string, int) ([]run.Run, string, error) {
	return []run.Run{run.Unread("a", time.UnixMilli(1e12), "it is in form 7"), run.Unread("b", time.UnixMilli(1e12), "it is missing")}, "", nil
}

func (s sick) Load(context.Context, string) (run.Run, error) {
	return run.Run{}, fmt.Errorf("load run a: %w: it is in form 7", store.ErrUnreadable)
}

// TestUnreadableRun: a page shows that a run cannot be read, and why; who asks for that one is told so, and not to wait.
func TestUnreadableRun(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.cfg.Runs = sick{h.store}
	handler := api.New(h.cfg)
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/api/v1/runs":   {http.StatusOK, `"state":"unreadable","reason":"this run cannot be read: it is in form 7"`},
		"/api/v1/runs/a": {http.StatusInternalServerError, "this run is kept, and this Millrace cannot read it"},
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.text) {
			t.Errorf("%s: got %d %s, want %d and %s", path, w.Code, w.Body, want.status, want.text)
		}
	}
}
