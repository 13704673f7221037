package gitlabtest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace-ci/millrace/test/forgekit"
	"github.com/millrace-ci/millrace/test/gitlabtest"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/gitlab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token   = "t0ken"
	secret  = "s3cret"
	signing = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	name    = "shop/tools/api"
)

// start starts a server with a project in a nested group and a hook that accepts everything, and clones the project.
func start(t *testing.T) (*gitlabtest.Server, *forgekit.Worktree) {
	t.Helper()
	s, w := bare(t)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(hook.Close)
	s.AddHook(gitlabtest.Hook{URL: hook.URL, Token: secret, SigningToken: signing})
	return s, w
}

// commit commits files and pushes them to refspecs.
func commit(t *testing.T, w *forgekit.Worktree, message string, files map[string]string, refspecs ...string) string {
	t.Helper()
	id, err := w.Commit(t.Context(), message, files)
	if err != nil {
		t.Fatal(err)
	}
	push(t, w, refspecs...)
	return id
}

func push(t *testing.T, w *forgekit.Worktree, refspecs ...string) {
	t.Helper()
	if err := w.Git(t.Context(), append([]string{"push", "-q", "origin"}, refspecs...)...); err != nil {
		t.Fatal(err)
	}
}

// await returns the deliveries once there are n.
func await(t *testing.T, s *gitlabtest.Server, n int) []gitlabtest.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Wait(ctx, func() bool { return len(s.Deliveries()) >= n }); err != nil {
		t.Fatalf("await %d deliveries, have %d: %v", n, len(s.Deliveries()), err)
	}
	return s.Deliveries()
}

func forge(t *testing.T, s *gitlabtest.Server, secret triggers.Secret) *gitlab.Forge {
	t.Helper()
	f, err := gitlab.New(gitlab.Config{Name: "gitlab", URL: s.URL, Token: token, Secrets: triggers.Secrets{{Value: secret}}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// hear verifies a delivery by its token and by its signature, and parses it, as the door and the planner do.
func hear(t *testing.T, s *gitlabtest.Server, d gitlabtest.Delivery) triggers.Event {
	t.Helper()
	f := forge(t, s, signing)
	for _, f := range []*gitlab.Forge{f, forge(t, s, secret)} {
		if _, err := f.Verify(d.Header, "", d.Body); err != nil {
			t.Fatalf("verify %s: %v", d.Event, err)
		}
	}
	h, err := f.Heading(d.Header)
	if err != nil || h.Key != d.UUID || d.Status != http.StatusAccepted {
		t.Errorf("heading of %s: got %+v, %v, want key %s; it was answered %d", d.Event, h, err, d.UUID, d.Status)
	}
	e, err := f.Parse(triggers.Delivery{ID: "d", Forge: "gitlab", Kind: h.Kind, Key: h.Key, Body: d.Body, At: d.At})
	if err != nil {
		t.Fatalf("parse %s: %v\n%s", d.Event, err, d.Body)
	}
	return e
}

func TestPushIsDelivered(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	one := commit(t, w, "one", map[string]string{"a.txt": "1"}, "HEAD:main")
	two, err := w.Commit(t.Context(), "two\n\nmore", map[string]string{"ü/b c.txt": "1"})
	if err != nil {
		t.Fatal(err)
	}
	three := commit(t, w, "three", map[string]string{"a.txt": "2"}, "HEAD:main")
	sent := await(t, s, 2)
	if first := hear(t, s, sent[0]); first.Before != "" || first.After != one || first.Files != nil {
		t.Errorf("first push: got %+v", first)
	}
	want := triggers.Event{
		ID: "d", Delivery: "d", Kind: triggers.Push, Forge: "gitlab", Ref: "refs/heads/main", Branch: "main", Before: one, After: three,
		Message: "three\n", Author: triggers.Person{Name: "Ada Lovelace", Email: "[REDACTED]"}, Sender: "gitlab-tester",
		URL: s.URL + "/" + name + "/-/compare/" + one + "..." + three, Time: sent[1].At.UTC(),
		Repo: triggers.Repository{
			ID: "1", Name: name, HTTPURL: s.URL + "/" + name + ".git", SSHURL: "git@127.0.0.1:" + name + ".git",
			WebURL: s.URL + "/" + name, DefaultBranch: "main",
		},
	}
	if diff := cmp.Diff(want, hear(t, s, sent[1])); diff != "" {
		t.Errorf("second push, with %s (-want +got):\n%s", two, diff)
	}
}

func TestTagsAndDeletions(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	head := commit(t, w, "one", nil, "HEAD:topic")
	if err := w.Git(t.Context(), "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "tag", "-a", "-m", "release", "v1"); err != nil {
		t.Fatal(err)
	}
	push(t, w, "v1")
	push(t, w, "--delete", "topic", "v1")
	var got []string
	for _, d := range await(t, s, 4) {
		e := hear(t, s, d)
		got = append(got, fmt.Sprintf("%s: %s %s %q", d.Event, e.Kind, e.Ref, e.After))
	}
	want := []string{
		`Push Hook: push refs/heads/topic "` + head + `"`, `Tag Push Hook: tag refs/tags/v1 "` + head + `"`,
		`Push Hook: deletion refs/heads/topic ""`, `Tag Push Hook: deletion refs/tags/v1 ""`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestTooManyRefs is the push of which GitLab tells nothing, but for the one tag.
func TestTooManyRefs(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	commit(t, w, "one", nil, "HEAD:a", "HEAD:b", "HEAD:c", "HEAD:d", "HEAD:refs/tags/v1")
	push(t, w, "HEAD:refs/heads/last")
	sent := await(t, s, 2)
	if first, second := hear(t, s, sent[0]), hear(t, s, sent[1]); first.Tag != "v1" || second.Branch != "last" {
		t.Errorf("got %s and %s, want v1 and last only", first.Ref, second.Ref)
	}
}

func TestAMergeRequest(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	one := commit(t, w, "one", nil, "HEAD:main")
	two := commit(t, w, "two", nil, "HEAD:topic")
	iid, err := s.OpenRequest(name, "topic", "main")
	if err != nil || iid != 1 {
		t.Fatalf("got %d, %v", iid, err)
	}
	three := commit(t, w, "three", nil, "HEAD:topic")
	sent := await(t, s, 5)
	opened, updated := hear(t, s, sent[2]), hear(t, s, sent[4])
	if r := opened.Request; r == nil || r.Action != "opened" || r.Fork || r.SourceBranch != "topic" || opened.After != two || opened.Ref != "refs/merge-requests/1/head" {
		t.Errorf("opened: got %+v, %+v", opened, r)
	}
	if r := updated.Request; r == nil || r.Action != "synchronize" || updated.Before != two || updated.After != three {
		t.Errorf("updated: got %+v, %+v", updated, r)
	}
	for _, branch := range []string{"nothing", one} {
		if _, err := s.OpenRequest(name, branch, "main"); err == nil {
			t.Errorf("a request of %s was opened", branch)
		}
	}
}

func TestGitWantsTheToken(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	commit(t, w, "one", nil, "HEAD:main")
	a, err := forge(t, s, secret).Access(triggers.Repository{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		password string
		ok       bool
	}{{string(a.Password), true}, {"other", false}, {"", false}} {
		address := strings.Replace(a.URL, "http://", "http://"+a.Username+":"+c.password+"@", 1)
		cmd := exec.Command("git", "ls-remote", address)
		cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_GLOBAL=/dev/null")
		if out, err := cmd.CombinedOutput(); (err == nil) != c.ok {
			t.Errorf("password %q: got %v %s, want it served: %v", c.password, err, out, c.ok)
		}
	}
}

func TestImpossibleProjects(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	for _, path := range []string{"", "api", "shop/../x", "shop//api", "/shop/api", name} {
		if id, err := s.CreateProject(path); err == nil {
			t.Errorf("%q was made, as %d", path, id)
		}
	}
}
