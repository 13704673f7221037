package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/agent/run"
)

func TestDeadPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	paths := s.fill()
	page := s.says("/dead", "Deliveries that could not be planned", "devent32 given up: read definitions: gitea answers 502 Bad Gateway 34 min ago after 360 tries Retry devent32 Forget devent32",
		"Attempts that could not be brought to their end", "build unit attempt 1 shop/api main 3f2a9c41 given up: the cluster cannot be asked",
		"States that could not be told", "ggggggggggggggggggga not there any more gitea answers 404", "Retry these 2")
	s.has(page, `href="/deliveries/devent32"`, `href="`+paths["failed"]+`"`, `action="/dead/retry"`, ` data-live`, `aria-current="page">Given up`)
	if got := strings.Count(page, `value="work-local/mr-1"`); got != 1 {
		t.Errorf("an attempt has %d buttons, want only the one that forgets it", got)
	}
}

func TestDeadPageWhenAllIsWell(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.lacks(s.says("/dead", "✓ All is well."), "<form", "<table")
}

func TestDeadGoOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for n := range 40 {
		id := fmt.Sprintf("d%d", n)
		s.bury(id, run.Reference{Line: "plan", Delivery: id}, "why")
	}
	page := s.says("/dead", "Retry these 30", "More")
	s.has(page, `href="/dead?cursor=d29"`)
	s.lacks(s.says("/dead?cursor=d29", "Retry these 10"), "data-live", "More")
	s.says("/dead?cursor=d39", "There is no more.")
	if w := s.get("/dead?cursor=nowhere"); w.Code != http.StatusBadRequest {
		t.Errorf("a cursor that is none: got %d, want 400", w.Code)
	}
}

func TestRetryAndForget(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill()
	one := func(item string) url.Values { return url.Values{"item": {item}} }
	s.goes("/dead/retry", one("plan/devent32"), "/dead?said=retried")
	s.says("/dead?said=retried", "It is tried again.")
	s.goes("/dead/retry", one("plan/devent32"), "/dead?said=gone")
	s.says("/dead?said=gone", "Nothing was done: it is not on the list any more.")
	s.goes("/dead/forget", one("work-local/mr-1"), "/dead?said=forgotten")
	s.lacks(s.says("/dead?said=forgotten", "It is off the list."), "devent32", "mr-1")
	s.lacks(s.says("/dead?said=<script>"), "script&gt;", `class="note"`)
	s.goes("/dead/retry", url.Values{"item": {"report/ggggggggggggggggggga", "plan/devent30"}}, "/dead?said=retried")
	for _, path := range []string{"/dead/retry", "/dead/forget"} {
		w := s.get(path)
		if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != "/dead" {
			t.Errorf("%s: got %d to %q, want the list", path, w.Code, got)
		}
	}
}

// TestRetryGoesBackToWhereItWasAsked: from the page of what it is about, and to the list if there was nothing to do.
func TestRetryGoesBackToWhereItWasAsked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	paths := s.fill()
	id := strings.TrimPrefix(paths["failed"], "/runs/")
	s.has(s.says(paths["failed"], "Tell it again"), `name="item" value="report/`+id+`"`, `name="from" value="run"`)
	form := url.Values{"item": {"report/" + id}, "from": {"run"}}
	s.goes("/dead/retry", form, paths["failed"])
	s.goes("/dead/retry", form, "/dead?said=gone")
	s.has(s.says(paths["nonsense"], "Plan it again"), `name="item" value="plan/devent30"`, `name="from" value="delivery"`)
	s.goes("/dead/retry", url.Values{"item": {"plan/devent30"}, "from": {"delivery"}}, "/deliveries/devent30")
	s.bury("/evil.example/", run.Reference{Line: "plan", Delivery: "x"}, "")
	s.goes("/dead/retry", url.Values{"item": {"plan//evil.example/"}, "from": {"delivery"}}, "/deliveries/%2Fevil.example%2F")
}

func TestRetryThatIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill()
	s.answers("/dead/retry", url.Values{"item": {"work-local/mr-1"}}, http.StatusConflict, "is not started again", "Given up")
	s.answers("/dead/retry", url.Values{"item": {"plan/trimmed"}}, http.StatusConflict, "no longer kept. Forget it.")
	s.lacks(s.answers("/dead/retry", url.Values{"item": {"plan/weather"}}, http.StatusServiceUnavailable, "Try again in a moment."), "10.0.0.7")
	many := url.Values{"item": make([]string, 31)}
	for name, form := range map[string]url.Values{"nothing": {}, "too many": many, "too large": {"item": {strings.Repeat("x", 20<<10)}}} {
		if w := s.send("/dead/retry", form); w.Code != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", name, w.Code)
		}
	}
}
