package gitlab_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/report/reporttest"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/gitlab"
	"github.com/millrace-ci/millrace/triggers/triggertest"
)

// server answers every POST with status and body, and keeps what the last one said; what else is asked it answers with
// an empty list.
func server(t *testing.T, status int, body string) (*gitlab.Forge, *map[string]any) {
	t.Helper()
	got := &map[string]any{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			_, _ = w.Write([]byte("[]"))
			return
		}
		*got = nil
		if err := json.NewDecoder(r.Body).Decode(got); err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return forge(t, gitlab.Config{URL: s.URL, Token: "hush"}), got
}

var notice = report.Notice{
	Repo: "platform/payments/ledger", Commit: strings.Repeat("a", 40), Ref: "refs/heads/feature/x", Context: "millrace/ci",
	State: report.Pending, Text: "waiting", URL: "https://ci.example.com/runs/1",
}

func TestTelling(t *testing.T) {
	kit := reporttest.Kit{
		New: func(address, token string, client *http.Client) (report.Notifier, error) {
			return gitlab.New(gitlab.Config{Name: "gitlab", URL: address + "/git/", Token: triggers.Secret(token), Client: client})
		},
		Notice: notice,
		Advice: map[int]string{401: "make a new one", 403: "scope api", 404: "access", 422: "jobs", 301: "url", 418: "teapot"},
		Impossible: map[string]func(*report.Notice){
			"repository": func(n *report.Notice) { n.Repo = "../../admin" },
			"commit":     func(n *report.Notice) { n.Commit = "../x" },
			"state":      func(n *report.Notice) { n.State = "odd" },
		},
	}
	reporttest.Run(t, kit)
	reporttest.RunStatus(t, kit, reporttest.Status{
		Path: "/git/api/v4/projects/platform%2Fpayments%2Fledger/statuses/" + notice.Commit, Auth: "Bearer " + reporttest.Token, MaxText: 255,
		Body: map[string]any{"name": "millrace/ci", "ref": "feature/x", "description": "waiting", "target_url": "https://ci.example.com/runs/1"},
		Words: map[report.State]string{
			report.Pending: "pending", report.Running: "running", report.Succeeded: "success", report.Failed: "failed",
			report.Broken: "failed", report.Canceled: "canceled", report.NotAffected: "success",
			report.Skipped: "success", report.Ignored: "success",
		},
	})
}

func TestNotifyKeepsToTheBounds(t *testing.T) {
	t.Parallel()
	f, got := server(t, http.StatusCreated, "{}")
	n := notice
	n.URL = "https://ci.example.com/" + strings.Repeat("x", 255)
	if _, err := f.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if u, sent := (*got)["target_url"]; sent {
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
		if _, err := f.Notify(t.Context(), n); err != nil || (*got)["ref"] != want {
			t.Errorf("%q: got %v, %v, want %v", ref, (*got)["ref"], err, want)
		}
	}
}

// TestSeveralRefs sets the state of a commit on each of the refs that its runs are of, and says which could not be set.
func TestSeveralRefs(t *testing.T) {
	t.Parallel()
	var refs []any
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		_ = json.NewDecoder(r.Body).Decode(&body)
		if refs = append(refs, body["ref"]); body["ref"] == "v1" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer s.Close()
	n := notice
	n.Refs = []string{"refs/heads/main", "refs/tags/v1"}
	answer, err := forge(t, gitlab.Config{URL: s.URL, Token: "hush"}).Notify(t.Context(), n)
	if diff := cmp.Diff([]any{"main", "v1"}, refs); diff != "" || !report.IsPermanent(err) || answer.Status != http.StatusForbidden {
		t.Errorf("got %+v, %v; set on (-want +got):\n%s", answer, err, diff)
	}
}

// TestOneAtATime has GitLab refuse one of two statuses that are set at once.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	f, _ := server(t, http.StatusConflict, `{"message":"Another update to this commit status is in progress"}`)
	if _, err := f.Notify(t.Context(), notice); err == nil || report.IsPermanent(err) {
		t.Errorf("got %v, want one worth another try", err)
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
		if _, err := f.Notify(t.Context(), n); (err == nil) != c.ok || err != nil && !report.IsPermanent(err) {
			t.Errorf("%s, %d from %s: got %v, want it told: %v", c.state, c.status, c.from, err, c.ok)
		}
	}
	f, _ := server(t, http.StatusBadRequest, `{"message":{"name":["has already been taken"]}}`)
	if _, err := f.Notify(t.Context(), notice); !report.IsPermanent(err) || !strings.Contains(err.Error(), "has already been taken") {
		t.Errorf("got %v, want GitLab's own words", err)
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
		_, err := forge(t, gitlab.Config{URL: s.URL, Token: "hush"}).Notify(t.Context(), n)
		s.Close()
		if want := "/api/v4/projects/platform%2Fpayments%2Fledger/merge_requests/7/pipelines Bearer hush"; asked != want {
			t.Errorf("%s: asked %s, want %s", c.name, asked, want)
		}
		if (err == nil) != c.ok || (posted != "") != c.ok || body["pipeline_id"] != c.want || report.IsPermanent(err) {
			t.Errorf("%s: got %v, posted %q with pipeline %v, want %v", c.name, err, posted, body["pipeline_id"], c.want)
		}
	}
}

func TestConfig(t *testing.T) {
	triggertest.RunConfig(t, triggertest.ConfigKit{
		New:  func(cfg triggers.ForgeConfig) (triggertest.Accessor, error) { return gitlab.New(cfg) },
		Repo: "platform/payments/ledger", User: "oauth2",
		Clone: map[string]string{
			"":                            "https://gitlab.com/platform/payments/ledger.git",
			"https://gitlab.example.com":  "https://gitlab.example.com/platform/payments/ledger.git",
			"https://example.com/gitlab/": "https://example.com/gitlab/platform/payments/ledger.git",
		},
	})
}
