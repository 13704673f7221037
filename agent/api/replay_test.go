package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/agent/api"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// Replay is api.Actions'.
func (h *house) Replay(ctx context.Context, id, rev string) (string, error) {
	_, _, err := h.Rehearse(ctx, id, rev)
	return "dreplay", err
}

// Rehearse is api.Actions'.
func (h *house) Rehearse(ctx context.Context, id, rev string) (store.Plan, []*run.Snapshot, error) {
	if _, err := h.inbox.Get(ctx, id); err != nil {
		return store.Plan{}, nil, err
	}
	switch rev {
	case "nowhere":
		return store.Plan{}, nil, fmt.Errorf("%w: it is no branch", triggers.ErrPermanent)
	case "weather":
		return store.Plan{}, nil, errors.New("hush: connection refused")
	}
	plan := snapshot(1)
	plan.Event.After = rev
	return store.Plan{Delivery: id, Event: plan.Event, Explanations: []store.Explained{
		{Explanation: pipeline.Explanation{Pipeline: "build", File: ".millrace.yaml", Matched: true, Reason: "push to main"}, Run: plan.ID},
	}}, []*run.Snapshot{plan}, nil
}

func TestReplay(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if _, err := h.inbox.Keep(t.Context(), triggers.Delivery{ID: "d1", Forge: "gitea", Key: "k", Kind: "push", Body: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	const path = "/api/v1/deliveries/d1/replay"
	got := h.ask(http.MethodPost, path, http.StatusAccepted).Body.String()
	if want := `{"of":"d1","delivery":"dreplay","url":"http://mill.example/deliveries/dreplay","dry":false}` + "\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	dry := decoded[api.Replay](t, h.ask(http.MethodPost, path+"?dry=true&ref=v1", http.StatusOK).Body.Bytes())
	if !dry.Dry || dry.Delivery != "" || dry.Commit != "v1" || len(dry.Explanations) != 1 || dry.Explanations[0].Run != "" {
		t.Errorf("got %+v, want what would be planned at v1, and no ids", dry)
	}
	if len(dry.Runs) != 1 || dry.Runs[0].ID != "" || len(dry.Runs[0].Stages) != 2 || dry.Runs[0].State != run.Waiting && dry.Runs[0].State != run.Running {
		t.Errorf("got %+v, want the run as it would begin", dry.Runs)
	}
	for path, want := range map[string]struct {
		status int
		detail string
	}{
		"/api/v1/deliveries/d2/replay":            {http.StatusNotFound, "no such delivery"},
		path + "?ref=nowhere":                     {http.StatusUnprocessableEntity, "it is no branch"},
		path + "?dry=1&ref=nowhere":               {http.StatusUnprocessableEntity, "it is no branch"},
		path + "?ref=weather":                     {http.StatusServiceUnavailable, "try again in a moment"},
		path + "?dry=perhaps":                     {http.StatusBadRequest, "dry: say true or false"},
		path + "?rev=main":                        {http.StatusBadRequest, "it has dry and ref"},
		path + "?ref=" + strings.Repeat("x", 300): {http.StatusBadRequest, "ref: at most"},
	} {
		if got := h.ask(http.MethodPost, path, want.status).Body.String(); !strings.Contains(got, want.detail) || strings.Contains(got, "hush") {
			t.Errorf("%s: got %s, want %q", path, got, want.detail)
		}
	}
	h.ask(http.MethodGet, path, http.StatusMethodNotAllowed)
	if _, err := h.inbox.Get(t.Context(), "dreplay"); !errors.Is(err, inbox.ErrNotFound) {
		t.Errorf("the API keeps deliveries itself: %v", err)
	}
}

// decoded reads JSON.
func decoded[T any](t *testing.T, data []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return v
}
