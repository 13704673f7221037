package main

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// show asks for a page and returns where the browser ends up, with what it shows. A form is sent when there is one, as by
// a page at origin.
func (s site) show(t *testing.T, path, origin string, form url.Values) (to string, status int, page string) {
	t.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.address+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", origin)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.Request.URL.Path, res.StatusCode, string(body)
}

// TestReplayByPage replays a push as people do who have a browser and no script in it: what would run, then for good.
func TestReplayByPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	p := s.serve(t)
	s.push(t, "echo ground")
	p.says(t, `"msg":"run ended"`)
	home := "http://" + s.address
	_, _, list := s.show(t, "/deliveries", home, nil)
	delivery := regexp.MustCompile(`/deliveries/d[a-z2-7]{16}`).FindString(list)

	_, status, page := s.show(t, delivery+"/replay", home, url.Values{"do": {"rehearse"}, "ref": {"main"}})
	if status != http.StatusOK || !strings.Contains(page, "would run</span>") || strings.Contains(page, "/runs/") {
		t.Errorf("rehearsed: got %d %s, want what would run, and no run", status, page)
	}
	_, status, page = s.show(t, delivery+"/replay", home, url.Values{"do": {"rehearse"}, "ref": {"nowhere"}})
	if status != http.StatusUnprocessableEntity || !strings.Contains(page, "is no branch or tag of") {
		t.Errorf("at a revision that is none: got %d %s, want why not", status, page)
	}
	if _, status, _ = s.show(t, delivery+"/replay", "http://evil.example", url.Values{"do": {"replay"}}); status != http.StatusForbidden {
		t.Errorf("from another site's page: got %d, want 403", status)
	}
	replay, status, _ := s.show(t, delivery+"/replay", home, url.Values{"do": {"replay"}})
	if replay == delivery || !strings.HasPrefix(replay, "/deliveries/d") || status != http.StatusOK {
		t.Fatalf("replayed: got %d at %s, want the page of the replay", status, replay)
	}
	p.await(t, "the run of the replay", func() bool {
		_, _, page = s.show(t, replay, home, nil)
		return strings.Contains(page, "state succeeded") && strings.Contains(page, `Replay of</dt><dd><a href="`+delivery)
	})
	if _, _, page = s.show(t, "/dead", home, nil); !strings.Contains(page, "All is well.") {
		t.Errorf("got %s, want that all is well", page)
	}
	if to, _, _ := s.show(t, "/dead/retry", home, url.Values{"item": {"plan/" + strings.TrimPrefix(delivery, "/deliveries/")}}); to != "/dead" {
		t.Errorf("retried what is not dead: got to %s, want the list", to)
	}
}
