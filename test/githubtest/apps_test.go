package githubtest_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/test/githubtest"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/github"
)

// appKey is the private key of the app of all tests.
var appKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func pemOf(kind string, data []byte) triggers.Secret {
	return triggers.Secret(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
}

var writeAll = map[string]string{"checks": "write", "statuses": "write", "metadata": "read"}

// install starts a server with the app, a commit, and the notice of its run.
func install(t *testing.T, permissions map[string]string) (*githubtest.Server, report.Notice) {
	t.Helper()
	s, w := start(t)
	s.Install(githubtest.App{ID: "77", Key: &appKey().PublicKey, Installation: 5, Permissions: permissions})
	n := notice(commit(t, w, "one", nil, "HEAD:main"))
	n.Run, n.At = "r1", time.Now().UTC().Truncate(time.Millisecond)
	return s, n
}

// asApp is the forge that tells as the app. change, if not nil, changes the app before.
func asApp(t *testing.T, s *githubtest.Server, now func() time.Time, change func(*github.App)) *github.Forge {
	t.Helper()
	app := github.App{ID: "77", Key: pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(appKey()))}
	if change != nil {
		change(&app)
	}
	f, err := github.NewApp(github.Config{Name: "hub", URL: s.API(), Now: now}, app)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func tellAll(t *testing.T, f *github.Forge, n report.Notice, states ...report.State) {
	t.Helper()
	for _, n.State = range states {
		if answer, err := f.Notify(t.Context(), n); err != nil || answer.Status/100 != 2 {
			t.Fatalf("%s: %+v, %v", n.State, answer, err)
		}
	}
}

// TestCheckRun is one check run that is created and then updated, also by a process that did not make it.
func TestCheckRun(t *testing.T) {
	t.Parallel()
	s, n := install(t, writeAll)
	f := asApp(t, s, nil, nil)
	checks := func() []githubtest.CheckRun { return s.Checks("shop", "api", n.Commit) }
	for i, c := range []struct {
		state              report.State
		status, conclusion string
	}{
		{report.Pending, "queued", ""},
		{report.Running, "in_progress", ""},
		{report.Succeeded, "completed", "success"},
		{report.Failed, "completed", "failure"},
		{report.Broken, "completed", "failure"},
		{report.Canceled, "completed", "cancelled"},
		{report.NotAffected, "completed", "success"},
		{report.Skipped, "completed", "skipped"},
		{report.Ignored, "completed", "neutral"},
	} {
		by := f
		if i%2 == 1 {
			by = asApp(t, s, nil, nil) // Another process, or this one after it was killed.
		}
		n.Text = "it is " + c.status
		tellAll(t, by, n, c.state)
		want := githubtest.CheckRun{
			Name: "millrace/ci", HeadSHA: n.Commit, ExternalID: "r1", DetailsURL: n.URL, Status: c.status,
			Output: githubtest.Output{Title: n.Text, Summary: n.Text},
		}
		if c.conclusion != "" {
			want.Conclusion, want.CompletedAt = &c.conclusion, &n.At
		}
		if diff := cmp.Diff([]githubtest.CheckRun{want}, checks(), cmpopts.IgnoreFields(githubtest.CheckRun{}, "ID", "StartedAt"), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.state, diff)
		}
	}
	if n := len(s.Statuses("shop", "api", n.Commit)); n > 0 {
		t.Errorf("%d statuses beside it", n)
	}
	n.State = "odd"
	if _, err := f.Notify(t.Context(), n); !report.IsPermanent(err) {
		t.Errorf("a state that is none: %v", err)
	}
	n.Run = "r2"
	tellAll(t, f, n, report.Pending)
	n.Run, n.Context = "", "millrace"
	tellAll(t, f, n, report.Pending)
	var of []string
	for _, c := range checks() {
		of = append(of, c.Name+" "+c.ExternalID)
	}
	if diff := cmp.Diff([]string{"millrace " + n.Commit, "millrace/ci r2", "millrace/ci r1"}, of); diff != "" {
		t.Errorf("another run, and the sum of the commit (-want +got):\n%s", diff)
	}
}

// TestCheckRunSays has room for what a status has not, bounds it, and leaves it unasked where only a status is set.
func TestCheckRunSays(t *testing.T) {
	t.Parallel()
	s, n := install(t, writeAll)
	asked := 0
	n.Details = func(context.Context) string { asked++; return strings.Repeat("é", 70_000) }
	tellAll(t, asApp(t, s, nil, nil), n, report.Failed)
	if got := s.Checks("shop", "api", n.Commit); len(got) != 1 || !strings.HasPrefix(got[0].Output.Summary, "éé") || asked != 1 {
		t.Errorf("got %d check runs, details asked for %d times", len(got), asked)
	}
	tellAll(t, forge(t, s), n, report.Failed)
	if asked != 1 {
		t.Error("a status has no room for details, and asked for them")
	}
}

// TestTwoCheckRuns: two workers have made one each; both are told how it ended.
func TestTwoCheckRuns(t *testing.T) {
	t.Parallel()
	s, n := install(t, writeAll)
	first, second := asApp(t, s, nil, nil), asApp(t, s, nil, nil)
	tellAll(t, first, n, report.Pending)
	sha := n.Commit
	s.Blind(1) // GitHub's list lags behind.
	tellAll(t, second, n, report.Running)
	tellAll(t, second, n, report.Succeeded)
	all := s.Checks("shop", "api", sha)
	if len(all) != 2 {
		t.Fatalf("%d check runs, want two", len(all))
	}
	for _, c := range all {
		if c.Status != "completed" {
			t.Errorf("check run %d is stuck in %s", c.ID, c.Status)
		}
	}
}

// TestPermissions: without the permission for checks the app sets statuses, also when it loses it on the way.
func TestPermissions(t *testing.T) {
	t.Parallel()
	s, n := install(t, writeAll)
	f := asApp(t, s, nil, nil)
	may := func(permissions map[string]string) {
		s.Install(githubtest.App{ID: "77", Key: &appKey().PublicKey, Installation: 5, Permissions: permissions})
		s.Revoke()
	}
	tellAll(t, f, n, report.Pending)
	may(map[string]string{"statuses": "write", "checks": "read"})
	tellAll(t, f, n, report.Running, report.Succeeded)
	if checks, statuses := len(s.Checks("shop", "api", n.Commit)), words(s.Statuses("shop", "api", n.Commit)); checks != 1 || statuses != "millrace/ci=success millrace/ci=pending" {
		t.Errorf("%d check runs, statuses %s", checks, statuses)
	}
	may(map[string]string{"metadata": "read"})
	if _, err := f.Notify(t.Context(), n); !report.IsPermanent(err) || !strings.Contains(err.Error(), "Resource not accessible by integration") || !strings.Contains(err.Error(), "write") {
		t.Errorf("without any: %v", err)
	}
	if n := s.Granted(); n != 3 {
		t.Errorf("%d tokens were given out, want 3", n)
	}
}

// TestChecksGained has an app gain the permission for checks while a run lives: the status that says that it is pending
// must not say so for ever, nor must that of a commit's sum.
func TestChecksGained(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, after []report.State
		sum           bool
	}{
		"before it runs":    {before: []report.State{report.Pending}, after: []report.State{report.Running, report.Failed}},
		"while it runs":     {before: []report.State{report.Pending, report.Running}, after: []report.State{report.Failed}},
		"while it is a sum": {before: []report.State{report.Pending}, after: []report.State{report.Pending, report.Failed}, sum: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, n := install(t, map[string]string{"statuses": "write"})
			if c.sum {
				n.Run = ""
			}
			f := asApp(t, s, nil, nil)
			tellAll(t, f, n, c.before...)
			s.Install(githubtest.App{ID: "77", Key: &appKey().PublicKey, Installation: 5, Permissions: writeAll})
			s.Revoke()
			tellAll(t, f, n, c.after...)
			if got := s.Statuses("shop", "api", n.Commit); got[0].State != "failure" {
				t.Errorf("the status is %s for ever", got[0].State)
			}
			for _, check := range s.Checks("shop", "api", n.Commit) {
				if check.Status != "completed" {
					t.Errorf("a check run is %s for ever", check.Status)
				}
			}
			n.Run = "r2"
			tellAll(t, f, n, report.Running, report.Succeeded)
			if got := s.Checks("shop", "api", n.Commit); len(got) != 1 || got[0].Status != "completed" {
				t.Errorf("the next run: got %+v, want a check run", got)
			}
		})
	}
}

// TestInstalledAgain has an app be uninstalled and installed again: its new installation is found, unless one is
// configured.
func TestInstalledAgain(t *testing.T) {
	t.Parallel()
	s, n := install(t, writeAll)
	f, fixed := asApp(t, s, nil, nil), asApp(t, s, nil, func(a *github.App) { a.Installation = 5 })
	tellAll(t, f, n, report.Pending)
	tellAll(t, fixed, n, report.Pending)
	s.Install(githubtest.App{ID: "77", Key: &appKey().PublicKey, Installation: 6, Permissions: writeAll})
	s.Revoke()
	granted := s.Granted()
	tellAll(t, f, n, report.Running, report.Succeeded)
	if got := s.Granted() - granted; got != 1 {
		t.Errorf("%d tokens were given out, want one", got)
	}
	if _, err := fixed.Notify(t.Context(), n); !report.IsPermanent(err) || !strings.Contains(err.Error(), "check the id of its installation") {
		t.Errorf("the configured one: got %v, want it to be said", err)
	}
}

// TestTokens are kept for most of their hour, replaced before it ends, and replaced when they are revoked.
func TestTokens(t *testing.T) {
	t.Parallel()
	s, n := install(t, map[string]string{"statuses": "write"})
	now := time.Now()
	f := asApp(t, s, func() time.Time { return now }, nil)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if _, err := f.Notify(t.Context(), n); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, c := range []struct {
		name   string
		before func()
		want   int
	}{
		{"ten at once share one", func() {}, 1},
		{"it was revoked", s.Revoke, 2},
		{"its hour is nearly over", func() { now = now.Add(56 * time.Minute) }, 3},
	} {
		c.before()
		if c.want == 3 {
			// Who has a clock that is wrong by that much is not believed by GitHub, so only the token is looked at.
			if _, err := f.Notify(t.Context(), n); !report.IsPermanent(err) || !strings.Contains(err.Error(), "clock") {
				t.Errorf("%s: got %v, want GitHub not to believe the clock", c.name, err)
			}
			continue
		}
		tellAll(t, f, n, report.Running)
		if got := s.Granted(); got != c.want {
			t.Errorf("%s: %d tokens were given out, want %d", c.name, got, c.want)
		}
	}
}

// TestAppLimits: check runs count as created content, and who made too many is told to wait.
func TestAppLimits(t *testing.T) {
	t.Parallel()
	s, n := install(t, writeAll)
	f := asApp(t, s, nil, func(a *github.App) { a.Installation = 5 })
	s.Limit(githubtest.Limits{Requests: 5000, Created: 1})
	tellAll(t, f, n, report.Pending, report.Running, report.Succeeded) // Updates create nothing.
	n.Run = "r2"
	if _, err := f.Notify(t.Context(), n); report.IsPermanent(err) || report.Wait(err) < 50*time.Second {
		t.Errorf("the second check run: %v, wait %v", err, report.Wait(err))
	}
	s.Limit(githubtest.Limits{})
	for _, status := range []int{500, 502, 429} {
		s.Fail(1, status, 0)
		if answer, err := f.Notify(t.Context(), n); err == nil || report.IsPermanent(err) || answer.Status != status {
			t.Errorf("%d: got %+v, %v", status, answer, err)
		}
	}
	s.Cut(2) // The list that is asked for, or what is made: either is asked for again.
	_, _ = f.Notify(t.Context(), n)
	_, _ = f.Notify(t.Context(), n)
	tellAll(t, f, n, report.Succeeded)
	for _, c := range s.Checks("shop", "api", n.Commit) {
		if c.Status != "completed" {
			t.Errorf("check run %d of %s is stuck in %s", c.ID, c.ExternalID, c.Status)
		}
	}
}

// TestWrongApps says what is wrong with an app, before it is used or when GitHub refuses it.
func TestWrongApps(t *testing.T) {
	t.Parallel()
	s, n := install(t, writeAll)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(appKey())
	if err != nil {
		t.Fatal(err)
	}
	tellAll(t, asApp(t, s, nil, func(a *github.App) { a.Key = pemOf("PRIVATE KEY", pkcs8) }), n, report.Pending)
	for name, change := range map[string]func(*github.App){
		"no PEM":    func(a *github.App) { a.Key = "hush" },
		"no key":    func(a *github.App) { a.Key = pemOf("PRIVATE KEY", []byte("hush")) },
		"no id":     func(a *github.App) { a.ID = "" },
		"no secret": func(a *github.App) { a.Key = "" },
	} {
		app := github.App{ID: "77", Key: pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(appKey()))}
		change(&app)
		if _, err := github.NewApp(github.Config{Name: "hub", URL: s.API()}, app); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v, want an error that shows nothing", name, err)
		}
	}
	for name, c := range map[string]struct {
		change func(*github.App)
		repo   string
		want   string
	}{
		"another id":           {func(a *github.App) { a.ID = "78" }, n.Repo, "check its id"},
		"another installation": {func(a *github.App) { a.Installation = 6 }, n.Repo, "installed"},
		"another repository":   {nil, "shop/web", "installed"},
	} {
		other := n
		other.Repo = c.repo
		if answer, err := asApp(t, s, nil, c.change).Notify(t.Context(), other); !report.IsPermanent(err) || !strings.Contains(err.Error(), c.want) || answer != report.AnswerOf(err) {
			t.Errorf("%s: got %+v, %v, want %q", name, answer, err, c.want)
		}
	}
	if got, body := ask(t, s, token, http.MethodPost, "shop/api/check-runs", `{"name":"x","head_sha":"`+n.Commit+`","status":"queued","output":{"title":"a","summary":"b"}}`); got.StatusCode != http.StatusForbidden {
		t.Errorf("a user's token made a check run: %d %s", got.StatusCode, body)
	}
}
