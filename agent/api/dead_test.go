package api_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// Dead is api.Actions'. A cursor is the id of the last item that was listed.
func (h *house) Dead(_ context.Context, cursor string, limit int) (items []queue.Dead[run.Reference], next string, err error) {
	first := 0
	if cursor != "" {
		if first = h.buried("plan", cursor) + 1; first == 0 {
			return nil, "", fmt.Errorf("from %q: %w", cursor, queue.ErrCursor)
		}
	}
	if rest := h.dead[first:]; len(rest) > limit {
		return rest[:limit], rest[limit-1].Item.ID, nil
	}
	return h.dead[first:], "", nil
}

// Retry is api.Actions'.
func (h *house) Retry(ctx context.Context, line, id string) error {
	if strings.HasPrefix(line, "work-") {
		return fmt.Errorf("%s: %w", id, run.ErrStale)
	}
	if line == "plan" && id == "trimmed" {
		return fmt.Errorf("%s: %w", id, inbox.ErrNotFound)
	}
	return h.Forget(ctx, line, id)
}

// Forget is api.Actions'.
func (h *house) Forget(_ context.Context, line, id string) error {
	i := h.buried(line, id)
	if i < 0 {
		return fmt.Errorf("%s: %w", id, queue.ErrNotFound)
	}
	h.dead = slices.Delete(h.dead, i, i+1)
	return nil
}

func (h *house) buried(line, id string) int {
	return slices.IndexFunc(h.dead, func(d queue.Dead[run.Reference]) bool { return d.Item.Value.Line == line && d.Item.ID == id })
}

// bury puts something among what was given up.
func (h *house) bury(id string, about run.Reference) {
	h.dead = append(h.dead, queue.Dead[run.Reference]{
		Item: queue.Item[run.Reference]{ID: id, Value: about}, Why: "given up: 502 <bad> gateway", Tries: 360,
		Pushed: start, Buried: start.Add(time.Hour),
	})
}

func TestDeadShape(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(snapshot(1))
	h.bury("d1", run.Reference{Line: "plan", Delivery: "d1"})
	h.bury("mr-1", run.Reference{Line: "work-local", Run: "run1", Task: "unit", Attempt: 2})
	h.bury("run2", run.Reference{Line: "report", Run: "run2"})
	golden(t, "dead", h.ask(http.MethodGet, "/api/v1/dead", http.StatusOK).Body.Bytes())
}

func TestDeadGoOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, id := range []string{"d1", "d2", "d3"} {
		h.bury(id, run.Reference{Line: "plan", Delivery: id})
	}
	first := h.ask(http.MethodGet, "/api/v1/dead?limit=2", http.StatusOK).Body.String()
	second := h.ask(http.MethodGet, "/api/v1/dead?limit=2&cursor=d2", http.StatusOK).Body.String()
	if !strings.Contains(first, `"next":"d2"`) || !strings.Contains(second, `"d3"`) || !strings.Contains(second, `"next":""`) {
		t.Errorf("got %s and %s, want two and one", first, second)
	}
	h.ask(http.MethodGet, "/api/v1/dead?cursor=nowhere", http.StatusBadRequest)
	h.ask(http.MethodGet, "/api/v1/dead?line=plan", http.StatusBadRequest)
	h.ask(http.MethodPost, "/api/v1/dead", http.StatusMethodNotAllowed)
}

func TestRetryAndForget(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.bury("d1", run.Reference{Line: "plan", Delivery: "d1"})
	h.bury("mr-1", run.Reference{Line: "work-local", Run: "run1", Task: "unit", Attempt: 1})
	h.ask(http.MethodPost, "/api/v1/dead/plan/d1/retry", http.StatusNoContent)
	for path, c := range map[string]struct {
		status int
		says   string
	}{
		"/api/v1/dead/plan/d1/retry":         {http.StatusNotFound, "not among what was given up"},
		"/api/v1/dead/report/mr-1/retry":     {http.StatusNotFound, "not among what was given up"},
		"/api/v1/dead/plan/trimmed/retry":    {http.StatusNotFound, "no such delivery"},
		"/api/v1/dead/work-local/mr-1/retry": {http.StatusConflict, "is not started again"},
	} {
		if got := h.ask(http.MethodPost, path, c.status).Body.String(); !strings.Contains(got, c.says) {
			t.Errorf("%s: got %s, want it to say %q", path, got, c.says)
		}
	}
	h.ask(http.MethodDelete, "/api/v1/dead/work-local/mr-1", http.StatusNoContent)
	h.ask(http.MethodDelete, "/api/v1/dead/work-local/mr-1", http.StatusNotFound)
}
