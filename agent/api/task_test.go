package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/api"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

// send sends outputs as a task does, to a house whose tokens are told by what they are for.
func (h *house) send(token, kind, body string) *httptest.ResponseRecorder {
	h.t.Helper()
	cfg := h.cfg
	cfg.Token = func(run, task string, attempt int) string { return fmt.Sprintf("%s/%s/%d", run, task, attempt) }
	r := httptest.NewRequestWithContext(h.t.Context(), http.MethodPost, "/api/v1/runs/run1/tasks/unit/output", strings.NewReader(body))
	r.Header.Set("Authorization", token)
	r.Header.Set("Content-Type", kind)
	w := httptest.NewRecorder()
	api.NewTasks(cfg).ServeHTTP(w, r)
	return w
}

func TestTaskSendsOutputs(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(snapshot(1), run.Started{Task: "unit", Attempt: 1, Worker: "w", At: start})
	for kind, body := range map[string]string{"application/json; charset=utf-8": `{"A":"1","b":"two\nlines"}`, "text/plain": "C='3'\n"} {
		if w := h.send("Bearer run1/unit/1", kind, body); w.Code != http.StatusNoContent {
			t.Fatalf("%s: got %d %s, want 204", kind, w.Code, w.Body)
		}
	}
	kept, err := h.store.Load(t.Context(), "run1")
	if diff := cmp.Diff(map[string]string{"A": "1", "b": "two\nlines", "C": "3"}, kept.Tasks[0].Outputs); err != nil || diff != "" {
		t.Errorf("outputs, error %v (-want +got):\n%s", err, diff)
	}
	if got := read[api.Run](h, "/api/v1/runs/run1").Stages[0].Tasks[0].Outputs; len(got) != 0 {
		t.Errorf("got outputs %q of a task that runs: secrets in them are hidden at its end", got)
	}
}

func TestTaskIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(snapshot(1), run.Started{Task: "unit", Attempt: 1, Worker: "w", At: start})
	const right, text = "Bearer run1/unit/1", "text/plain"
	for _, c := range []struct {
		what, token, kind, body string
		status                  int
		says                    string
	}{
		{"no token", "", text, "A=1", 401, "TASK_TOKEN"},
		{"another attempt's token", "Bearer run1/unit/2", text, "A=1", 401, "TASK_TOKEN"},
		{"another task's token", "Bearer run1/lint/1", text, "A=1", 401, "TASK_TOKEN"},
		{"no scheme", "run1/unit/1", text, "A=1", 401, "TASK_TOKEN"},
		{"no dotenv", right, text, "A=1\nnonsense", 400, "line 2"},
		{"no JSON", right, "application/json", "A=1", 400, "want {"},
		{"a JSON list", right, "application/json", `["A"]`, 400, "want {"},
		{"a strange name", right, "application/json", `{"A-B":"1"}`, 400, "A-B"},
		{"a NUL", right, "application/json", `{"A":"\u0000"}`, 400, "UTF-8"},
		{"too much", right, text, "A=" + strings.Repeat("x", 256<<10), 413, "at most"},
		{"too much after all", right, text, "A=" + strings.Repeat("x", 256<<10-2), 204, ""},
		{"too much together", right, text, "B=" + strings.Repeat("x", 128<<10), 409, "at most"},
	} {
		w := h.send(c.token, c.kind, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: got %d %.300s, want %d with %q", c.what, w.Code, w.Body, c.status, c.says)
		}
	}
	h.create(snapshot(2))
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/runs/run1/tasks/unit/output", strings.NewReader("A=1"))
	r.Header.Set("Authorization", right)
	api.NewTasks(h.cfg).ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("without tokens: got %d, want 401", w.Code)
	}
}

func TestTaskIsTooLate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(snapshot(1), run.Started{Task: "unit", Attempt: 1, Worker: "w", At: start},
		run.Ended{Task: "unit", Attempt: 1, Result: runners.Result{Class: runners.Succeeded}, At: start.Add(time.Second)})
	if w := h.send("Bearer run1/unit/1", "text/plain", "A=1"); w.Code != http.StatusConflict {
		t.Errorf("got %d %s, want 409", w.Code, w.Body)
	}
}
