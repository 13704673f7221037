package githubtest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/test/githubtest"
)

// ask asks the API as who has bearer, and returns the answer with its body.
func ask(t *testing.T, s *githubtest.Server, bearer, method, path, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.API()+"/repos/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(data)
}

func notice(sha string) report.Notice {
	return report.Notice{Repo: "shop/api", Commit: sha, Context: "millrace/ci", State: report.Pending, Text: "going", URL: "http://127.0.0.1/runs/1"}
}

func words(all []githubtest.Status) string {
	var list []string
	for _, s := range all {
		list = append(list, s.Context+"="+s.State)
	}
	return strings.Join(list, " ")
}

func TestStatusesRoundTrip(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	sha := commit(t, w, "one", nil, "HEAD:main")
	f, n := forge(t, s), notice(sha)
	n.Text = strings.Repeat("é", 200) // More than GitHub takes.
	for _, state := range []report.State{report.Pending, report.Running, report.Succeeded} {
		n.State = state
		if _, err := f.Notify(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := words(s.Statuses("shop", "api", sha)), "millrace/ci=success millrace/ci=pending millrace/ci=pending"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, list := ask(t, s, token, http.MethodGet, "shop/api/commits/"+sha+"/statuses", "")
	if strings.Count(list, `"millrace/ci"`) != 3 || !strings.Contains(list, `"target_url":"http://127.0.0.1/runs/1"`) {
		t.Errorf("list: got %s", list)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	sha := commit(t, w, "one", nil, "HEAD:main")
	for _, c := range []struct {
		name, path, token, body string
		want                    int
	}{
		{"no token", "shop/api/statuses/" + sha, "", `{"state":"success"}`, 401},
		{"wrong token", "shop/api/statuses/" + sha, "other", `{"state":"success"}`, 401},
		{"unknown repository", "shop/web/statuses/" + sha, token, `{"state":"success"}`, 404},
		{"unknown commit", "shop/api/statuses/" + strings.Repeat("a", 40), token, `{"state":"success"}`, 422},
		{"no commit", "shop/api/statuses/--help", token, `{"state":"success"}`, 422},
		{"unknown state", "shop/api/statuses/" + sha, token, `{"state":"running"}`, 422},
		{"long text", "shop/api/statuses/" + sha, token, `{"state":"success","description":"` + strings.Repeat("x", 141) + `"}`, 422},
		{"no link", "shop/api/statuses/" + sha, token, `{"state":"success","target_url":"ftp://x"}`, 422},
		{"no JSON", "shop/api/statuses/" + sha, token, `nonsense`, 400},
		{"sound", "shop/api/statuses/" + sha, token, `{"state":"success"}`, 201},
	} {
		if got, body := ask(t, s, c.token, http.MethodPost, c.path, c.body); got.StatusCode != c.want {
			t.Errorf("%s: got %d %s, want %d", c.name, got.StatusCode, body, c.want)
		}
	}
}

// TestAThousandStatuses tells of 450 runs of one pipeline on one commit: the last statuses are kept for how runs end,
// and once GitHub takes no more, that is said for good and in so many words.
func TestAThousandStatuses(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	sha := commit(t, w, "one", nil, "HEAD:main")
	f, n := forge(t, s), notice(sha)
	var omitted, refused int
	for i := range 1200 {
		if n.State = report.Pending; i%3 == 2 {
			n.State = report.Succeeded
		}
		_, err := f.Notify(t.Context(), n)
		switch {
		case err == nil:
		case report.IsOmitted(err) && report.IsPermanent(err) && !n.State.Final():
			omitted++
		case report.IsPermanent(err) && n.State.Final() && strings.Contains(err.Error(), "1,000") && strings.Contains(err.Error(), "new commit"):
			refused++
		default:
			t.Fatalf("%d, %s: %v", i, n.State, err)
		}
	}
	if omitted != 200 || refused != 0 {
		t.Errorf("%d were left out and %d refused, want 200, and all 100 ends told", omitted, refused)
	}
	if got := len(s.Statuses("shop", "api", sha)); got != 1000 {
		t.Errorf("got %d statuses, want 1000", got)
	}
	n.State = report.Failed
	if _, err := f.Notify(t.Context(), n); !report.IsPermanent(err) || report.IsOmitted(err) || !strings.Contains(err.Error(), "maximum number of statuses") {
		t.Errorf("the 1,001st: got %v, want a permanent error in GitHub's words", err)
	}
	afresh := forge(t, s) // Another process, which has not counted.
	for _, want := range []bool{false, true} {
		n.State = report.Running
		if _, err := afresh.Notify(t.Context(), n); !report.IsPermanent(err) || report.IsOmitted(err) != want {
			t.Errorf("another process: got %v, want it left out: %v", err, want)
		}
	}
	n.Context = "millrace/other"
	if _, err := f.Notify(t.Context(), n); err != nil {
		t.Errorf("another context: %v", err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	sha := commit(t, w, "one", nil, "HEAD:main")
	f, n := forge(t, s), notice(sha)
	for _, c := range []struct {
		name     string
		limits   githubtest.Limits
		from, to time.Duration // of the wait that is asked for
	}{
		{"primary", githubtest.Limits{Requests: 2}, 55 * time.Minute, time.Hour},
		{"secondary", githubtest.Limits{Requests: 5000, Created: 2}, 50 * time.Second, time.Minute},
	} {
		s.Limit(c.limits)
		for i := range 3 {
			_, err := f.Notify(t.Context(), n)
			if ok := i < 2; ok != (err == nil) {
				t.Errorf("%s: status %d: %v", c.name, i+1, err)
			}
			if wait := report.Wait(err); err != nil && (report.IsPermanent(err) || wait < c.from || wait > c.to) {
				t.Errorf("%s: got %v, permanent %v, wait %v, want %v to %v", c.name, err, report.IsPermanent(err), wait, c.from, c.to)
			}
		}
	}
	s.Limit(githubtest.Limits{})
	if _, err := f.Notify(t.Context(), n); err != nil {
		t.Error(err)
	}
}

func TestTooManyAtOnce(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	sha := commit(t, w, "one", nil, "HEAD:main")
	s.Limit(githubtest.Limits{Concurrent: 1})
	s.Slow(1, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f, answers := forge(t, s), make(chan error, 2)
	for range 2 {
		go func() { _, err := f.Notify(ctx, notice(sha)); answers <- err }()
	}
	if err := <-answers; report.Wait(err) != time.Minute || report.IsPermanent(err) {
		t.Errorf("got %v with wait %v, want a minute: GitHub names no time", err, report.Wait(err))
	}
	cancel()
	if err := <-answers; !errors.Is(err, context.Canceled) {
		t.Errorf("the slow one: got %v", err)
	}
}

func TestInjectedFaults(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	sha := commit(t, w, "one", nil, "HEAD:main")
	f, n := forge(t, s), notice(sha)
	s.Fail(1, http.StatusTooManyRequests, 7*time.Second)
	s.Fail(1, http.StatusForbidden, 60*time.Second)
	s.Fail(1, http.StatusForbidden, 0)
	s.Fail(1, http.StatusBadGateway, 0)
	s.Cut(1)
	for i, want := range []time.Duration{7 * time.Second, time.Minute, time.Minute, 0, 0} {
		if _, err := f.Notify(t.Context(), n); err == nil || report.IsPermanent(err) || report.Wait(err) != want {
			t.Errorf("fault %d: got %v, permanent %v, wait %v, want %v", i, err, report.IsPermanent(err), report.Wait(err), want)
		}
	}
	if _, err := f.Notify(t.Context(), n); err != nil {
		t.Errorf("after the faults: %v", err)
	}
	if got := len(s.Statuses("shop", "api", sha)); got != 2 {
		t.Errorf("statuses: got %d, want 2: the one whose answer was lost, and the one after it", got)
	}
}
