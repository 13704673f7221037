package gitea_test

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
	"github.com/millrace-ci/millrace/triggers/gitea"
)

// told is what a forge was asked.
type told struct {
	Method, Path, Auth string
	Body               map[string]string
}

// server answers every request with status and body, and notes it.
func server(t *testing.T, status int, body string) (*gitea.Forge, *told) {
	t.Helper()
	got := &told{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*got = told{Method: r.Method, Path: r.URL.EscapedPath(), Auth: r.Header.Get("Authorization")}
		if err := json.NewDecoder(r.Body).Decode(&got.Body); err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	f, err := gitea.New(gitea.Config{Name: "forge", URL: s.URL + "/git/", Token: "hush"})
	if err != nil {
		t.Fatal(err)
	}
	return f, got
}

var notice = report.Notice{
	Repo: "shop/api", Commit: strings.Repeat("a", 40), Context: "millrace/ci", State: report.Pending, Text: "waiting", URL: "https://ci.example.com/runs/1",
}

func TestNotify(t *testing.T) {
	t.Parallel()
	f, got := server(t, http.StatusCreated, "{}")
	for state, word := range map[report.State]string{
		report.Pending: "pending", report.Running: "pending", report.Succeeded: "success", report.Failed: "failure",
		report.Broken: "error", report.Canceled: "error", report.NotAffected: "success",
	} {
		n := notice
		n.State = state
		if err := f.Notify(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		want := &told{
			Method: http.MethodPost, Path: "/git/api/v1/repos/shop/api/statuses/" + strings.Repeat("a", 40), Auth: "token hush",
			Body: map[string]string{"state": word, "context": "millrace/ci", "description": "waiting", "target_url": "https://ci.example.com/runs/1"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", state, diff)
		}
	}
}

func TestNotifyCutsTheDescription(t *testing.T) {
	t.Parallel()
	f, got := server(t, http.StatusCreated, "{}")
	n := notice
	n.Text = strings.Repeat("é", 141)
	if err := f.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if d := got.Body["description"]; utf8.RuneCountInString(d) != 140 || !strings.HasSuffix(d, "é…") {
		t.Errorf("description: got %q", d)
	}
}

func TestNotifyRefused(t *testing.T) {
	t.Parallel()
	for status, advice := range map[int]string{
		401: "make a new one", 403: "write", 404: "access", 422: "commit", 301: "url", 418: "teapot",
	} {
		f, _ := server(t, status, `{"message":"token hush is bad"}`)
		err := f.Notify(t.Context(), notice)
		if !report.IsPermanent(err) || !strings.Contains(err.Error(), advice) || !strings.Contains(err.Error(), "shop/api") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%d: got %v, want a permanent error that says %q", status, err, advice)
		}
	}
	f, _ := server(t, http.StatusInternalServerError, "")
	if err := f.Notify(t.Context(), notice); err == nil || report.IsPermanent(err) {
		t.Errorf("500: got %v, want one worth another try", err)
	}
}

func TestNotifyAsksNothingImpossible(t *testing.T) {
	t.Parallel()
	f, got := server(t, http.StatusCreated, "{}")
	for name, change := range map[string]func(*report.Notice){
		"repository":      func(n *report.Notice) { n.Repo = "../../admin" },
		"deep repository": func(n *report.Notice) { n.Repo = "a/b/c" },
		"commit":          func(n *report.Notice) { n.Commit = "../x" },
		"state":           func(n *report.Notice) { n.State = "odd" },
	} {
		n := notice
		change(&n)
		if err := f.Notify(t.Context(), n); !report.IsPermanent(err) || got.Method != "" {
			t.Errorf("%s: got %v, asked %+v", name, err, *got)
		}
	}
	mute, err := gitea.New(gitea.Config{Name: "forge", URL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := mute.Notify(t.Context(), notice); !report.IsPermanent(err) || !strings.Contains(err.Error(), "token") {
		t.Errorf("no token: got %v", err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	err := gitea.Config{URL: "ssh://x", Secrets: triggers.Secrets{{}, {Value: "s", Repositories: []string{"[a"}}}}.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"name", "url", "webhook_secrets[0]", "webhook_secrets[1]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want all at once, and %s among them", err, want)
		}
	}
	if _, err := gitea.New(gitea.Config{}); err == nil {
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
	f, err := gitea.New(gitea.Config{Name: "forge", URL: s.URL, Token: "hush", Client: &http.Client{Timeout: 20 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Notify(t.Context(), notice); err == nil || report.IsPermanent(err) || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v, want one worth another try", err)
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"https://git.example.com":    "https://git.example.com/shop/api.git",
		"https://example.com/gitea/": "https://example.com/gitea/shop/api.git",
	} {
		f, err := gitea.New(gitea.Config{Name: "gitea", URL: base, Token: "hush"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Access(triggers.Repository{Name: "shop/api", HTTPURL: "https://evil.example.com/x.git"})
		if want := (triggers.Access{URL: want, Username: "millrace", Password: "hush"}); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", base, got, err, want)
		}
		if got, err := f.Access(triggers.Repository{Name: "../x"}); err == nil {
			t.Errorf("../x: got %+v", got)
		}
	}
}
