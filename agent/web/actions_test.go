package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

var errWeather = errors.New("dial tcp 10.0.0.7: refused")

// Dead is web.Actions'. A cursor is the name of the last item that was listed.
func (s *site) Dead(_ context.Context, cursor string, limit int) (items []queue.Dead[run.Reference], next string, err error) {
	first := 0
	if cursor != "" {
		if first = slices.IndexFunc(s.buried, func(d queue.Dead[run.Reference]) bool { return d.Item.ID == cursor }) + 1; first == 0 {
			return nil, "", fmt.Errorf("from %q: %w", cursor, queue.ErrCursor)
		}
	}
	if rest := s.buried[first:]; len(rest) > limit {
		return rest[:limit], rest[limit-1].Item.ID, nil
	}
	return s.buried[first:], "", nil
}

// Retry is web.Actions'.
func (s *site) Retry(ctx context.Context, line, id string) error {
	switch {
	case strings.HasPrefix(line, "work-"):
		return fmt.Errorf("%s: %w", id, run.ErrStale)
	case id == "trimmed":
		return fmt.Errorf("%s: %w", id, inbox.ErrNotFound)
	case id == "weather":
		return errWeather
	}
	return s.Forget(ctx, line, id)
}

// Forget is web.Actions'.
func (s *site) Forget(_ context.Context, line, id string) error {
	i := slices.IndexFunc(s.buried, func(d queue.Dead[run.Reference]) bool { return d.Item.Value.Line == line && d.Item.ID == id })
	if i < 0 {
		return fmt.Errorf("%s: %w", id, queue.ErrNotFound)
	}
	s.buried = slices.Delete(s.buried, i, i+1)
	return nil
}

// Replay is web.Actions'.
func (s *site) Replay(ctx context.Context, id, rev string) (string, error) {
	if _, _, err := s.Rehearse(ctx, id, rev); err != nil {
		return "", err
	}
	s.asked = append(s.asked, "replay "+id+" at "+rev)
	return "dreplay", nil
}

// Rehearse is web.Actions'.
func (s *site) Rehearse(ctx context.Context, id, rev string) (store.Plan, []*run.Snapshot, error) {
	if _, err := s.inbox.Get(ctx, id); err != nil {
		return store.Plan{}, nil, err
	}
	switch rev {
	case "told":
		return store.Plan{Delivery: id, Event: s.told.Event, Explanations: []store.Explained{explained(s.told.Pipeline, s.told.Pipeline, "r")}}, []*run.Snapshot{s.told}, nil
	case "weather":
		return store.Plan{}, nil, errWeather
	case "empty":
		return store.Plan{Delivery: id, Event: push(2)}, nil, nil
	case "", "main":
	default:
		return store.Plan{}, nil, fmt.Errorf("%w: %.80q is no branch or tag of shop/api", triggers.ErrPermanent, rev)
	}
	p, bad := plan("build", 2, "+check: unit lint", "image: image"), broken(2)
	p.Lane = &run.LanePlan{Name: "lane", Concurrency: pipeline.Concurrency{Group: "build refs/heads/main", Limit: 1, WhenFull: pipeline.Queue, MaxQueue: 20}}
	return store.Plan{Delivery: id, Event: push(2), Explanations: []store.Explained{
		explained("build", `push to main matches branches "main"`, p.ID),
		explained("docs", `no changed file matches paths "docs/**"`, ""),
		explained("release", "the definition is broken", bad.ID),
	}}, []*run.Snapshot{p, bad}, nil
}

// bury puts something among what was given up.
func (s *site) bury(id string, about run.Reference, why string) {
	s.buried = append(s.buried, queue.Dead[run.Reference]{
		Item: queue.Item[run.Reference]{ID: id, Value: about}, Why: why, Tries: 1 + 359*(len(s.buried)%2),
		Pushed: now.Add(-3 * time.Hour), Buried: now.Add(-time.Duration(len(s.buried)+1) * 17 * time.Minute),
	})
}

// send sends a form, as a browser does.
func (s *site) send(path string, form url.Values) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.page.ServeHTTP(w, r)
	return w
}

// goes wants a form to be answered by being sent elsewhere.
func (s *site) goes(path string, form url.Values, want string) {
	s.t.Helper()
	w := s.send(path, form)
	if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != want {
		s.t.Errorf("%s %v: got %d to %q %s, want 303 to %q", path, form, w.Code, got, text(w.Body.String()), want)
	}
}

// answers wants a form to be answered by a page that says something.
func (s *site) answers(path string, form url.Values, status int, want ...string) string {
	s.t.Helper()
	w := s.send(path, form)
	page := w.Body.String()
	for _, words := range want {
		if w.Code != status || !strings.Contains(text(page), words) {
			s.t.Errorf("%s %v: got %d %q, want %d and %q in it", path, form, w.Code, text(page), status, words)
		}
	}
	return page
}
