package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/agent/api"
)

func TestReplay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill()
	const path = "/deliveries/devent2/replay"
	page := s.says("/deliveries/devent2", "At revision", "What would run?", "only asks, and starts nothing")
	s.has(page, `method="post" action="`+path+`"`, `<label for="ref">`, `aria-describedby="ref-hint"`, `placeholder="3f2a9c41"`)
	s.goes(path, url.Values{"do": {"replay"}}, "/deliveries/dreplay")
	s.goes(path, url.Values{"do": {"replay"}, "ref": {"main"}}, "/deliveries/dreplay")
	if want := []string{"replay devent2 at ", "replay devent2 at main"}; !slices.Equal(s.asked, want) {
		t.Errorf("got %q, want %q", s.asked, want)
	}
}

// TestRehearse: the answer to 'what would run?' is a page, and nothing was asked for but that.
func TestRehearse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill()
	const path = "/deliveries/devent2/replay"
	page := s.answers(path, url.Values{"do": {"rehearse"}, "ref": {"main"}}, http.StatusOK, "What would run 2 of 3 pipelines matched. Nothing was started.", "Revision main",
		`✓ would run build .millrace/build.yaml push to main matches branches "main" in lane "build refs/heads/main", 1 at a time`,
		"check in parallel unit script@v1 lint script@v1 image image script@v1", `– would not docs .millrace/docs.yaml no changed file matches`,
		"✕ would fail release", "unknown key `paralel`")
	s.has(page, `name="ref" value="main"`, `<ol class="would">`)
	s.lacks(page, "/runs/", "data-live")
	s.answers(path, url.Values{"do": {"rehearse"}}, http.StatusOK, "Revision its own")
	s.answers(path, url.Values{"do": {"rehearse"}, "ref": {"empty"}}, http.StatusOK, "Nothing would run.")
	if len(s.asked) > 0 {
		t.Errorf("a rehearsal asks for %q", s.asked)
	}
}

func TestReplayThatIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill()
	const path = "/deliveries/devent2/replay"
	for _, do := range []string{"replay", "rehearse"} {
		page := s.answers(path, url.Values{"do": {do}, "ref": {"now<here"}}, http.StatusUnprocessableEntity, `It was not replayed. trying again will not help: "now<here" is no branch or tag`)
		s.has(page, `role="alert"`, `value="now&lt;here"`)
		s.lacks(page, "data-live")
		s.lacks(s.answers(path, url.Values{"do": {do}, "ref": {"weather"}}, http.StatusServiceUnavailable, "Try again in a moment."), "10.0.0.7")
		s.answers(path, url.Values{"do": {do}, "ref": {strings.Repeat("é", 200)}}, http.StatusUnprocessableEntity, "a revision has at most 266 bytes")
		s.answers("/deliveries/nothing/replay", url.Values{"do": {do}, "ref": {"main"}}, http.StatusNotFound, "This delivery never was")
	}
	for _, do := range []string{"", "run", "Replay"} {
		s.answers(path, url.Values{"do": {do}}, http.StatusBadRequest, "The form cannot be understood.")
	}
	if len(s.asked) > 0 {
		t.Errorf("refused forms ask for %q", s.asked)
	}
	w := s.get(path)
	if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != "/deliveries/devent2" {
		t.Errorf("got %d to %q, want who comes back by address sent to the delivery", w.Code, got)
	}
}

// TestDeliveriesOfEachKind shows what became of each, where it came from, and whether it can be replayed.
func TestDeliveriesOfEachKind(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	paths := s.fill()
	page := s.says("/deliveries", "– duplicate push", "push replay api: answer", "push recovered api: answer")
	s.has(page, `duplicate of delivery <a href="/deliveries/daaaaaaaaaaaaaaaa">daaaaaaaaaaaaaaaa</a>`)
	s.has(s.says(paths["duplicate"], "– duplicate", "duplicate of delivery daaaaaaaaaaaaaaaa , which told of the same"), `href="/deliveries/daaaaaaaaaaaaaaaa"`)
	s.has(s.says(paths["replayed"], "push replay ✓ planned", "Replay of devent2"), `href="/deliveries/devent2"`)
	s.says(paths["recovered"], "push recovered ✓ planned", "No delivery told of this push: Millrace found it", "See the run ● running")
	page = s.says(paths["kindless"], "– ignored", "It cannot be replayed: a delivery of this kind is kept without its body.")
	s.lacks(page, "<form")
	s.says(paths["delivery"], "Headers Name Value Content-Type application/json X-Gitea-Delivery f47ac10b", "X-Gitea-Event push")
}

// TestFormsStandBehindTheGuard: the page has no rule of its own for who may act, and needs none.
func TestFormsStandBehindTheGuard(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill()
	guarded := api.Guard("http://127.0.0.1:8080", s.page)
	for path, form := range map[string]string{"/dead/retry": "item=plan/devent30", "/dead/forget": "item=plan/devent30", "/deliveries/devent2/replay": "do=replay"} {
		for origin, want := range map[string]int{"http://evil.example": http.StatusForbidden, "http://127.0.0.1:8080": http.StatusSeeOther} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form))
			r.RemoteAddr, r.Host = "127.0.0.1:4711", "127.0.0.1:8080"
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", origin)
			w := httptest.NewRecorder()
			guarded.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s from %s: got %d, want %d", path, origin, w.Code, want)
			}
		}
	}
}
