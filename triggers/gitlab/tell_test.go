package gitlab_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/gitlab"
)

// told is what a forge was asked last, and how often it was.
type told struct {
	Method, Path, Auth string
	Body               map[string]any
	Times              int
}

// server answers every POST with status and body, and notes it; what else is asked it answers with an empty list.
func server(t *testing.T, status int, body string) (*gitlab.Forge, *told) {
	t.Helper()
	got := &told{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			_, _ = w.Write([]byte("[]"))
			return
		}
		*got = told{Method: r.Method, Path: r.URL.EscapedPath(), Auth: r.Header.Get("Authorization"), Times: got.Times + 1}
		if err := json.NewDecoder(r.Body).Decode(&got.Body); err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return forge(t, gitlab.Config{URL: s.URL + "/git/", Token: "hush"}), got
}

var notice = report.Notice{
	Repo: "platform/payments/ledger", Commit: strings.Repeat("a", 40), Ref: "refs/heads/feature/x", Context: "millrace/ci",
	State: report.Pending, Text: "waiting", URL: "https://ci.example.com/runs/1",
}

func TestNotify(t *testing.T) {
	t.Parallel()
	f, got := server(t, http.StatusCreated, "{}")
	n := 0
	for state, word := range map[report.State]string{
		report.Pending: "pending", report.Running: "running", report.Succeeded: "success", report.Failed: "failed",
		report.Broken: "failed", report.Canceled: "canceled", report.NotAffected: "success",
	} {
		tell := notice
		tell.State = state
		if err := f.Notify(t.Context(), tell); err != nil {
			t.Fatal(err)
		}
		n++
		want := &told{
			Method: http.MethodPost, Path: "/git/api/v4/projects/platform%2Fpayments%2Fledger/statuses/" + strings.Repeat("a", 40), Auth: "Bearer hush", Times: n,
			Body: map[string]any{"state": word, "name": "millrace/ci", "ref": "feature/x", "description": "waiting", "target_url": "https://ci.example.com/runs/1"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", state, diff)
		}
	}
}

func TestNotifyKeepsToTheBounds(t *testing.T) {
	t.Parallel()
	f, got := server(t, http.StatusCreated, "{}")
	n := notice
	n.Text, n.URL = strings.Repeat("é", 256), "https://ci.example.com/"+strings.Repeat("x", 255)
	if err := f.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if d := got.Body["description"].(string); utf8.RuneCountInString(d) != 255 || !strings.HasSuffix(d, "é…") {
		t.Errorf("description: got %q", d)
	}
	if u, sent := got.Body["target_url"]; sent {
		t.Errorf("target_url: got %q, which GitLab refuses", u)
	}
}

// TestNotifyNamesTheRef has the refs that statuses are of: GitLab wants them short, and knows no others.
func TestNotifyNamesTheRef(t *testing.T) {
	t.Parallel()
	f, got := server(t, http.StatusCreated, "{}")
	for ref, want := range map[string]any{
		"refs/heads/main": "main", "refs/tags/v1": "v1", "refs/merge-requests/7/head": nil, "refs/merge-requests/../x/head": nil, "": nil,
	} {
		n := notice
		n.Ref = ref
		if err := f.Notify(t.Context(), n); err != nil || got.Body["ref"] != want {
			t.Errorf("%q: got %v, %v, want %v", ref, got.Body["ref"], err, want)
		}
	}
}

func TestNotifyRefused(t *testing.T) {
	t.Parallel()
	for status, advice := range map[int]string{
		401: "make a new one", 403: "scope api", 404: "access", 422: "jobs", 301: "url", 418: "teapot",
	} {
		f, _ := server(t, status, `{"message":"token hush is bad"}`)
		err := f.Notify(t.Context(), notice)
		if !report.IsPermanent(err) || !strings.Contains(err.Error(), advice) || !strings.Contains(err.Error(), notice.Repo) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%d: got %v, want a permanent error that says %q", status, err, advice)
		}
	}
	for _, status := range []int{409, 429, 500, 502} {
		f, _ := server(t, status, `{"message":"Another update to this commit status is in progress"}`)
		if err := f.Notify(t.Context(), notice); err == nil || report.IsPermanent(err) {
			t.Errorf("%d: got %v, want one worth another try", status, err)
		}
	}
}

// TestAlreadySo takes for told what GitLab refuses because it is so, and nothing else.
func TestAlreadySo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		state       report.State
		status      int
		event, from string
		ok          bool
	}{
		{report.Pending, 400, "enqueue", "pending", true},
		{report.Pending, 400, "enqueue", "running", true},
		{report.Running, 400, "run", "running", true},
		{report.Running, 400, "run", "created", false},
		{report.Succeeded, 400, "success", "manual", false},
		{report.Canceled, 400, "cancel", "running", false},
		{report.Running, 403, "run", "running", false},
	} {
		body := `{"message":"Cannot transition status via :` + c.event + ` from :` + c.from + ` (Reason(s): Status cannot transition via \"` + c.event + `\")"}`
		f, _ := server(t, c.status, body)
		n := notice
		n.State = c.state
		if err := f.Notify(t.Context(), n); (err == nil) != c.ok || err != nil && !report.IsPermanent(err) {
			t.Errorf("%s, %d from %s: got %v, want it told: %v", c.state, c.status, c.from, err, c.ok)
		}
	}
	f, _ := server(t, http.StatusBadRequest, `{"message":{"name":["has already been taken"]}}`)
	if err := f.Notify(t.Context(), notice); !report.IsPermanent(err) || !strings.Contains(err.Error(), "has already been taken") {
		t.Errorf("got %v, want GitLab's own words", err)
	}
}

func TestNotifyAsksNothingImpossible(t *testing.T) {
	t.Parallel()
	f, got := server(t, http.StatusCreated, "{}")
	for name, change := range map[string]func(*report.Notice){
		"repository": func(n *report.Notice) { n.Repo = "../../admin" },
		"commit":     func(n *report.Notice) { n.Commit = "../x" },
		"state":      func(n *report.Notice) { n.State = "odd" },
	} {
		n := notice
		change(&n)
		if err := f.Notify(t.Context(), n); !report.IsPermanent(err) || got.Method != "" {
			t.Errorf("%s: got %v, asked %+v", name, err, *got)
		}
	}
	mute := forge(t, gitlab.Config{URL: "http://127.0.0.1:1"})
	if err := mute.Notify(t.Context(), notice); !report.IsPermanent(err) || !strings.Contains(err.Error(), "token") {
		t.Errorf("no token: got %v", err)
	}
}

// TestARequestsPipeline puts the status of a merge request where GitLab shows it, and elsewhere where it may not look.
func TestARequestsPipeline(t *testing.T) {
	t.Parallel()
	other := strings.Repeat("b", 40)
	for _, c := range []struct {
		name, list string
		status     int
		want       any // pipeline_id; nil: none
		ok         bool
	}{
		{"the newest of the commit", `[{"id":9,"sha":"` + other + `"},{"id":8,"sha":"` + notice.Commit + `"},{"id":7,"sha":"` + notice.Commit + `"}]`, 200, 8.0, true},
		{"none", `[]`, 200, nil, true},
		{"none of the commit", `[{"id":9,"sha":"` + other + `"}]`, 200, nil, true},
		{"not to be seen", `{"message":"403 Forbidden"}`, 403, nil, true},
		{"not now", ``, 502, nil, false},
		{"nonsense", `<html>`, 200, nil, false},
	} {
		var asked, posted string
		var body map[string]any
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				asked = r.URL.EscapedPath() + " " + r.Header.Get("Authorization")
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.list))
				return
			}
			posted = r.URL.EscapedPath()
			_ = json.NewDecoder(r.Body).Decode(&body)
		}))
		n := notice
		n.Ref = "refs/merge-requests/7/head"
		err := forge(t, gitlab.Config{URL: s.URL, Token: "hush"}).Notify(t.Context(), n)
		s.Close()
		if want := "/api/v4/projects/platform%2Fpayments%2Fledger/merge_requests/7/pipelines Bearer hush"; asked != want {
			t.Errorf("%s: asked %s, want %s", c.name, asked, want)
		}
		if (err == nil) != c.ok || (posted != "") != c.ok || body["pipeline_id"] != c.want || report.IsPermanent(err) {
			t.Errorf("%s: got %v, posted %q with pipeline %v, want %v", c.name, err, posted, body["pipeline_id"], c.want)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	err := gitlab.Config{URL: "ssh://x", Secrets: triggers.Secrets{{}, {Value: "s", Repositories: []string{"[a"}}}}.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"name", "url", "webhook_secrets[0]", "webhook_secrets[1]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want all at once, and %s among them", err, want)
		}
	}
	if _, err := gitlab.New(gitlab.Config{}); err == nil {
		t.Error("New takes what Validate does not")
	}
}

// TestASlowForge keeps a forge that does not answer from holding its caller longer than the caller's patience.
func TestASlowForge(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	defer s.Close()
	defer close(hold)
	f := forge(t, gitlab.Config{URL: s.URL, Token: "hush", Client: &http.Client{Timeout: 20 * time.Millisecond}})
	if err := f.Notify(t.Context(), notice); err == nil || report.IsPermanent(err) || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v, want one worth another try", err)
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"":                            "https://gitlab.com/platform/payments/ledger.git",
		"https://gitlab.example.com":  "https://gitlab.example.com/platform/payments/ledger.git",
		"https://example.com/gitlab/": "https://example.com/gitlab/platform/payments/ledger.git",
	} {
		f := forge(t, gitlab.Config{URL: base, Token: "hush"})
		got, err := f.Access(triggers.Repository{Name: "platform/payments/ledger", HTTPURL: "https://evil.example.com/x.git"})
		if want := (triggers.Access{URL: want, Username: "oauth2", Password: "hush"}); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", base, got, err, want)
		}
		if got, err := f.Access(triggers.Repository{Name: "../x"}); err == nil {
			t.Errorf("../x: got %+v", got)
		}
	}
	got, err := forge(t, gitlab.Config{}).Access(triggers.Repository{Name: "shop/api"})
	if want := (triggers.Access{URL: "https://gitlab.com/shop/api.git"}); err != nil || got != want {
		t.Errorf("no token: got %+v, %v, want %+v", got, err, want)
	}
}
