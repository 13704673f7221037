package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/web"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

var (
	tags   = regexp.MustCompile(`<(?:[^>"]|"[^"]*")*>`)
	spaces = regexp.MustCompile(`\s+`)
)

// text is what a page says to who reads it, without its head.
func text(page string) string {
	_, body, _ := strings.Cut(page, "<body>")
	body = tags.ReplaceAllString(body, " ")
	body = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&#34;", `"`, "&#39;", "'", "&#43;", "+", "&amp;", "&").Replace(body)
	return spaces.ReplaceAllString(body, " ")
}

// says wants the page to say all of that.
func (s *site) says(path string, want ...string) string {
	s.t.Helper()
	w := s.get(path)
	if w.Code != http.StatusOK {
		s.t.Fatalf("%s: got %d %s, want 200", path, w.Code, text(w.Body.String()))
	}
	page := w.Body.String()
	for _, words := range want {
		if !strings.Contains(text(page), words) {
			s.t.Errorf("%s: got %q, want %q in it", path, text(page), words)
		}
	}
	return page
}

// has wants all of that markup in the page.
func (s *site) has(page string, want ...string) {
	s.t.Helper()
	for _, markup := range want {
		if !strings.Contains(page, markup) {
			s.t.Errorf("got %s, want %q in it", page, markup)
		}
	}
}

// lacks wants none of that in the page.
func (s *site) lacks(page string, unwanted ...string) {
	s.t.Helper()
	for _, markup := range unwanted {
		if strings.Contains(page, markup) {
			s.t.Errorf("got %q in %s", markup, page)
		}
	}
}

func TestRunsPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	paths := s.fill()
	page := s.says(paths["runs"], "● running", "✕ failed", "✓ succeeded", "– skipped", "api: answer 404 for a basket that never was",
		"shop/api main 3f2a9c41 mei 2 min ago", "1 h ago 1m51s", "发布")
	s.has(page, `href="`+paths["running"]+`"`, `datetime="2026-11-23T09:28:00Z" title="2026-11-23 09:28:00 UTC"`, `<label>Repository <input name="repo"`, ` data-live`)
	if got := strings.Count(page, `class="row"`); got != 30 {
		t.Errorf("got %d rows, want 30", got)
	}
	_, next, _ := strings.Cut(page, `<p class="more"><a href="`)
	next, _, _ = strings.Cut(next, `"`)
	older := s.says(strings.ReplaceAll(next, "&amp;", "&"), "6 days ago")
	if got := strings.Count(older, `class="row"`); got != 23 {
		t.Errorf("got %d older rows, want 23", got)
	}
	s.lacks(older, "data-live", "live.js")
}

func TestRunsPageFilters(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill()
	page := s.says("/?state=failed&repo=shop/api&commit=3f2a9c4", "Show all", "✕ failed")
	s.has(page, `value="shop/api"`, `<option selected>failed</option>`, `value="3f2a9c4"`)
	s.lacks(page, `class="state running"`)
	page = s.says("/?pipeline=build&branch=main")
	s.has(page, `branch=main&amp;cursor=`, `pipeline=build`)
	s.says("/?repo=shop/none", "No run is like that.")
}

func TestEmptyPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.says("/", "No runs yet.", ".millrace.yaml")
	s.says("/deliveries", "Nothing was delivered yet.", "/hooks/NAME")
}

func TestRunPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	paths := s.fill()
	page := s.says(paths["green"], "succeeded in 4m19s", "Mei Lin", "2026-11-23 02:50:00 UTC 6 h ago", "check , in parallel", ".millrace/build.yaml",
		"Commit status succeeded just now", "09:30:00 pushed harbor.example.com/shop/api:v20261123-main-3f2a9c41", "It wrote nothing.",
		"IMAGE harbor.example.com/shop/api:v1@sha256:0f0f", "# Image")
	id := strings.TrimPrefix(paths["green"], "/runs/")
	s.has(page, `href="/deliveries/devent400">why it ran</a>`, `href="/api/v1/runs/`+id+`/tasks/image/log">As text`, `href="#image"`, `id="image"`, `href="/?repo=shop%2fapi&amp;branch=main"`)
	s.lacks(page, "data-live", "live.js", "exit code")
	page = s.says(paths["running"], "running unit, race-detector", "1m23s so far", "may fail", "exit code 2", "It has written nothing yet.", "○ pending")
	s.has(page, "data-live", `src="/static/live.js?v=`)
	s.lacks(page, "\x1b", "10%", "[32m")
	s.says(paths["skipped"], "not affected: no changed file matches")
}

// TestRunPageOfRetries shows earlier attempts, each with what is kept of it, and until when a task waits.
func TestRunPageOfRetries(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	path := s.fill()["retried"]
	page := s.says(path, "○ waiting script@v1 attempt 2 backoff of 30s after attempt 1: the command ended with exit code 2 Attempt 2 starts at 2026-11-23 09:26:58 UTC .",
		"Earlier attempts Attempt 1 ✕ failure 1m51s Log of attempt 1 of mirror Manifest of attempt 1 of mirror Events of attempt 1 of mirror the command ended with exit code 2",
		"dry run", "attempt 2 1m4s", "502 Bad Gateway", "Manifest of attempt 2 of upload")
	api := `href="/api/v1` + path + `/tasks/`
	s.has(page, api+`mirror/log?attempt=1"`, api+`mirror/manifest?attempt=1"`, api+`upload/events?attempt=1"`, api+`upload/manifest?attempt=2"`)
	s.lacks(page, api+`mirror/manifest?attempt=2"`)
}

// TestRunPageSaysWhyItWaits: where the run stands in its lane, and behind which.
func TestRunPageSaysWhyItWaits(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	paths := s.fill()
	page := s.says(paths["held"], "It is number 3 of 3 that wait in its lane, and starts when those before it have ended.",
		"● running deploy 1a1a1a1a for 11m23s ○ waiting deploy 2a2a2a2a created 11 min ago ○ waiting deploy 3a3a3a3a", "Lane deploy refs/heads/main 1 at a time")
	s.has(page, `href="/runs/`+run.ID("held2", "deploy")+`"`, "data-live")
	for n := range 4 {
		p := plan("deploy", 8-n, "deploy: rollout")
		p.ID, p.Lane = run.ID(fmt.Sprintf("more%d", n), "deploy"), &run.LanePlan{Name: "lane", Concurrency: pipeline.Concurrency{Group: "g", Limit: 2}}
		s.keep(life(t, p))
	}
	s.lacks(page, "in about")
	ended := life(t, plan("deploy", 300, "deploy: rollout smoke"), "rollout", "rollout+", "smoke", "smoke+")
	s.keep(ended) // after 111 s
	s.says(paths["held"], "those before it have ended. By how long earlier runs took, that is in about 4 minutes .")
	s.says("/runs/"+run.ID("more3", "deploy"), "It is number 7 of 7 that wait in its lane, and starts when fewer than 2 are before it. By how long earlier runs took, that is in about 7 minutes . Before these stand 2 more. ○ waiting deploy 3a3a3a3a")
	s.lacks(s.says("/runs/"+run.ID("held0", "deploy")), "Why it waits")
}

// TestRunPageSaysWhatItCameFrom: also of one that made room for another.
func TestRunPageSaysWhatItCameFrom(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := plan("build", 1, "check: unit")
	p.Cause, p.Event.Recovered = run.Cause{Kind: "replay", ID: "devent7"}, true
	r, _, err := life(t, p).Apply(run.Cancel{By: "lane", Reason: "superseded by run abcdefghijklmnopqrst", At: now})
	s.must(err)
	s.keep(r)
	page := s.says("/runs/"+p.ID, "push recovered why it ran", "Replay of devent7", "No delivery told of this push", "superseded by run abcdefghijklmnopqrst")
	s.has(page, `href="/deliveries/devent7"`, `superseded by run <a href="/runs/abcdefghijklmnopqrst">abcdefghijklmnopqrst</a>`)
}

// TestRunPageSaysWhatWasTold: every telling, the newest first.
func TestRunPageSaysWhatWasTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	paths := s.fill()
	s.says(paths["green"], "What was told What To When Took Answer succeeded succeeded in 4m19s gitea millrace/build just now 84ms 201")
	s.says(paths["failed"], "84ms try 3 ✕ given up: gitea answers 403")
	r := life(t, plan("build", 1, "check: unit"), "unit")
	r.Told = []run.Told{
		{To: run.StatusListener, State: "pending", At: now.Add(-time.Hour), Took: 2345 * time.Millisecond, Tries: 1},
		{To: run.StatusListener, State: "running", At: now, Error: "502 Bad Gateway", Again: true, Tries: 4},
	}
	r.ToldBefore = 7
	page := s.says("/runs/"+s.keep(r).Plan.ID, "running gitea just now – try 4 failed, and is tried again: 502 Bad Gateway pending gitea 1 h ago 2.3s told", "7 more before these.",
		"Commit status pending 1 h ago")
	s.lacks(page, `class="alarm"`)
	s.lacks(s.says(paths["wide"]), "What was told")
}

func TestRunPageOfABrokenDefinition(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	page := s.says(s.fill()["broken"], ".millrace/release.yaml:7:9 unknown key `paralel`: did you mean `parallel`?", " paralel: true",
		".millrace/release.yaml:19:15", "Nothing was run.", "failed: the definition is broken")
	s.lacks(page, `class="stages"`)
}

func TestRunPageSaysLoudlyThatNobodyWasTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	paths := s.fill()
	page := s.says(paths["failed"], "gitea could not be told of millrace/build .", "gitea answers 403: the token may not write to shop/api", "✕ not told")
	s.has(page, `<div class="alarm">`)
	s.says(paths["wide"], "not told yet")
}

func TestDeliveriesPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	page := s.says(s.fill()["deliveries"], "○ accepted push", "not planned yet", "✓ planned push api: answer 404", "1 of 3 pipelines matched",
		"✕ failed pull_request", "field pull_request.head.sha is missing", "– ignored star", "a star starts nothing")
	s.has(page, `href="/deliveries/devent2"`)
	for n := range 40 {
		s.deliver(100+n, "push", &inbox.Outcome{At: now})
	}
	page = s.says("/deliveries")
	_, next, _ := strings.Cut(page, `<p class="more"><a href="`)
	next, _, _ = strings.Cut(next, `"`)
	if got := strings.Count(s.says(next), `class="row"`); got != 19 {
		t.Errorf("got %d older rows, want 19", got)
	}
}

func TestDeliveryPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	paths := s.fill()
	page := s.says(paths["delivery"], "✓ matched build .millrace/build.yaml push to main matches branches \"main\"; api/basket.go matches paths \"api/**\" See the run",
		"– not matched docs", "– not matched release .millrace/release.yaml a push, and this pipeline asks only for tag", "f47ac10b-58cc-4372-a567-0e02b2c3d479-devent2", "2026-11-23 09:28:00 UTC")
	s.has(page, `href="`+paths["running"]+`"`, `href="/?repo=shop%2fapi"`, " data-live")
	s.has(s.says(paths["unplanned"], "not planned yet"), "data-live")
	s.lacks(s.says(paths["nonsense"], "the payload names no head commit"), "data-live", "Commit")
	s.deliver(77, "push", &inbox.Outcome{At: now}, []store.Explained{}...)
	s.says("/deliveries/devent77", "the repository has no pipelines at this commit")
	s.deliver(78, "push", &inbox.Outcome{At: now}, store.Explained{Explanation: pipeline.Explanation{File: ".millrace/x.yaml", Reason: "cannot be read"}})
	s.says("/deliveries/devent78", "A file without a name .millrace/x.yaml cannot be read")
}

// sick is runs that cannot be read.
type sick struct{ store.Runs }

func (s sick) List(context.Context, store.Filter, string, int) ([]run.Run, string, error) {
	return []run.Run{run.Unread("aaaaaaaaaaaaaaaaaaaa", now, "it is in form 7")}, "", nil
}

func (s sick) Load(context.Context, string) (run.Run, error) {
	return run.Run{}, fmt.Errorf("load run: %w: it is in form 7", store.ErrUnreadable)
}

// TestUnreadableRuns: they are said to be that, and keep no page from being shown that refers to them.
func TestUnreadableRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	paths := s.fill()
	cfg := s.config()
	cfg.Runs = sick{s.store}
	s.page = web.New(cfg)
	s.says("/", "○ unreadable aaaaaaaaaaaaaaaaaaaa this run cannot be read: it is in form 7")
	s.says("/dead", "not there any more")
	s.says(paths["delivery"], "See the run")
	w := s.get(paths["running"])
	if got := text(w.Body.String()); w.Code != http.StatusInternalServerError || !strings.Contains(got, "This run is kept, and this Millrace cannot read it") {
		t.Errorf("got %d %q, want 500 and why", w.Code, got)
	}
}

// lost is runs that cannot be listed.
type lost struct {
	store.Runs
	err error
}

func (l lost) List(context.Context, store.Filter, string, int) ([]run.Run, string, error) {
	return nil, "", l.err
}

func TestProblemPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for path, want := range map[string]string{
		"/nothing":                  "404 Not Found There is no page at this address.",
		"/runs/nothing":             "404 Not Found This run never was",
		"/deliveries/nothing":       "404 Not Found This delivery never was",
		"/deliveries?cursor=beyond": "400 Bad Request There is no such place in the list.",
	} {
		w := s.get(path)
		if got := text(w.Body.String()); !strings.Contains(got, want) || !strings.HasPrefix(want, fmt.Sprint(w.Code)) {
			t.Errorf("%s: got %d %q, want %q", path, w.Code, got, want)
		}
	}
	for err, status := range map[error]int{errors.New("dial tcp 10.0.0.7: refused"): 503, store.ErrCursor: 400} {
		cfg := s.config()
		cfg.Runs = lost{err: err}
		s.page = web.New(cfg)
		if w := s.get("/"); w.Code != status || strings.Contains(w.Body.String(), "10.0.0.7") {
			t.Errorf("%v: got %d %s, want %d and no address", err, w.Code, w.Body, status)
		}
	}
}

func TestEveryAnswerIsSealed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	paths := s.fill()
	paths["script"], paths["no file"], paths["style"] = "/static/live.js", "/static/none.js", "/static/style.css"
	for _, path := range paths {
		head := s.get(path).Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		} {
			if got := head.Get(name); got != want {
				t.Errorf("%s: %s: got %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestPagesKeepToThePolicy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, path := range s.fill() {
		page := s.get(path).Body.String()
		s.lacks(page, "<style", " style=", " onclick=", "<script>", "javascript:", "http-equiv")
		for _, m := range regexp.MustCompile(`(?:src|href|action)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
			if a := m[1]; a != "" && (!strings.HasPrefix(a, "/") && !strings.HasPrefix(a, "#") || strings.HasPrefix(a, "//")) {
				t.Errorf("%s: %q leaves the site", name, a)
			}
		}
	}
}

func TestPagesAreSoundForScreenReaders(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, path := range s.fill() {
		page := s.get(path).Body.String()
		s.has(page, `<html lang="en">`, `<main id="main"`, `href="#main">Skip`, `<nav aria-label="Pages">`)
		level := 0
		for _, m := range regexp.MustCompile(`<h([1-6])`).FindAllStringSubmatch(page, -1) {
			next := int(m[1][0] - '0')
			if next > level+1 || next == 1 && level > 0 {
				t.Errorf("%s: a heading of level %d follows one of level %d", name, next, level)
			}
			level = next
		}
		ids := map[string]bool{}
		for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
			if ids[m[1]] {
				t.Errorf("%s: two elements are %q", name, m[1])
			}
			ids[m[1]] = true
		}
		for _, m := range regexp.MustCompile(`aria-labelledby="([^"]*)"|href="#([^"]*)"`).FindAllStringSubmatch(page, -1) {
			if id := m[1] + m[2]; !ids[id] {
				t.Errorf("%s: nothing is %q", name, id)
			}
		}
	}
}

func TestFilesAreKeptByTheirHash(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, m := range regexp.MustCompile(`"(/static/[^"]*)"`).FindAllStringSubmatch(s.says("/"), -1) {
		w := s.get(m[1])
		if got := w.Header().Get("Cache-Control"); w.Code != 200 || got != "max-age=31536000, immutable" {
			t.Errorf("%s: got %d, %q, want it kept", m[1], w.Code, got)
		}
	}
	if got := s.get("/static/style.css?v=old").Header(); got.Get("Cache-Control") != "no-store" || got.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("another version's style: got %v, want it not kept", got)
	}
}

func TestOnlyFormsChangeAnything(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	paths := s.fill()
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		for _, path := range []string{paths["running"], paths["delivery"], "/dead", "/"} {
			w := httptest.NewRecorder()
			s.page.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
			if w.Code != http.StatusNotFound {
				t.Errorf("%s %s: got %d, want 404", method, path, w.Code)
			}
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration][2]string{
		-time.Hour:                         {"just now", "0s"},
		1234 * time.Millisecond:            {"just now", "1.2s"},
		59*time.Second + 900e6:             {"just now", "59s"},
		time.Minute:                        {"1 min ago", "1m"},
		64 * time.Second:                   {"1 min ago", "1m4s"},
		time.Hour:                          {"1 h ago", "1h"},
		26*time.Hour + 5*time.Minute + 9e9: {"26 h ago", "26h5m"},
		49 * time.Hour:                     {"2 days ago", "49h"},
	} {
		s := newSite(t)
		p := plan("build", 0, "check: unit")
		p.CreatedAt = now.Add(-d)
		r, _ := run.New(p)
		next, _, err := r.Apply(run.Started{Task: "unit", Attempt: 1, At: p.CreatedAt})
		if err != nil {
			t.Fatal(err)
		}
		s.keep(next)
		s.says("/", want[0]+" "+want[1]+" ")
	}
}
