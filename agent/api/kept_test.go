package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/api"
	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
)

func TestManifestAndEvents(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(snapshot(1), run.Started{Task: "unit", Attempt: 1, Worker: "w1", At: start})
	const task = "/api/v1/runs/run1/tasks/unit/"
	long := strings.Repeat("# a comment\n", 50_000) // more than one read
	for path, kind := range map[string]logs.Kind{"manifest": logs.Manifest, "events": logs.Evidence} {
		if got := h.ask(http.MethodGet, task+path, http.StatusNotFound).Body.String(); !strings.Contains(got, "it comes when") && !strings.Contains(got, "they come when") {
			t.Errorf("%s: got %s, want to be told when there is one", path, got)
		}
		key := unit
		key.Kind = kind
		want := "kind: " + path + "\n" + long
		if err := h.logs.Append(t.Context(), key, 0, []byte(want)); err != nil {
			t.Fatal(err)
		}
		for _, query := range []string{"", "?attempt=1"} {
			got := h.ask(http.MethodGet, task+path+query, http.StatusOK)
			if got.Body.String() != want || got.Header().Get("Content-Type") != "application/yaml; charset=utf-8" {
				t.Errorf("%s%s: got %v, %d bytes, want %d of YAML", path, query, got.Header(), got.Body.Len(), len(want))
			}
		}
		h.ask(http.MethodGet, task+path+"?attempt=0", http.StatusBadRequest)
		h.ask(http.MethodGet, task+path+"?attempt=2", http.StatusNotFound)
		h.ask(http.MethodGet, "/api/v1/runs/run1/tasks/lint/"+path, http.StatusNotFound)
		h.ask(http.MethodGet, "/api/v1/runs/run1/tasks/none/"+path, http.StatusNotFound)
		h.ask(http.MethodGet, "/api/v1/runs/none/tasks/unit/"+path, http.StatusNotFound)
		h.ask(http.MethodPost, task+path, http.StatusMethodNotAllowed)
	}
	if got := h.ask(http.MethodGet, unitLog, http.StatusOK).Body.String(); got != "" {
		t.Errorf("the log: got %q, want nothing", got)
	}
}

// unread is logs that cannot be read.
type unread struct{ logs.Logs }

func (unread) Read(context.Context, logs.Key, int64, time.Duration) (logs.Chunk, error) {
	return logs.Chunk{}, errAway
}

// TestManifestWithoutLogs asks while what keeps logs is away.
func TestManifestWithoutLogs(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(snapshot(1), run.Started{Task: "unit", Attempt: 1, Worker: "w1", At: start})
	h.cfg.Logs = unread{h.logs}
	h.api = api.New(h.cfg)
	h.ask(http.MethodGet, "/api/v1/runs/run1/tasks/unit/manifest", http.StatusServiceUnavailable)
}
