package githubtest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace-ci/millrace/test/forgekit"
	"github.com/millrace-ci/millrace/test/githubtest"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/github"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token, secret = "t0ken", "s3cret"

// start starts a server with shop/api in it and a hook that accepts everything, and clones the repository. The first
// delivery is the hook's ping.
func start(t *testing.T) (*githubtest.Server, *forgekit.Worktree) {
	t.Helper()
	s, err := githubtest.Start(githubtest.Config{Dir: filepath.Join(t.TempDir(), "github"), Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.CreateRepo("shop", "api"); err != nil {
		t.Fatal(err)
	}
	s.AddHook("shop", "api", githubtest.Hook{URL: accepting(t), Secret: secret})
	w, err := forgekit.Clone(t.Context(), s.CloneURL("shop", "api"), "main")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return s, w
}

// accepting is the address of a hook that accepts everything.
func accepting(t *testing.T) string {
	t.Helper()
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(hook.Close)
	return hook.URL
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

// await returns the deliveries after the ping once there are n.
func await(t *testing.T, s *githubtest.Server, n int) []githubtest.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Wait(ctx, func() bool { return len(s.Deliveries()) > n }); err != nil {
		t.Fatalf("await %d deliveries, have %d: %v", n, len(s.Deliveries())-1, err)
	}
	return s.Deliveries()[1:]
}

func forge(t *testing.T, s *githubtest.Server) *github.Forge {
	t.Helper()
	f, err := github.New(github.Config{Name: "hub", URL: s.API(), Token: token, Secrets: triggers.Secrets{{Value: secret}}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// hear verifies and parses a delivery as the door and the planner do.
func hear(t *testing.T, s *githubtest.Server, d githubtest.Delivery) triggers.Event {
	t.Helper()
	f := forge(t, s)
	if _, err := f.Verify(d.Header, "", d.Body); err != nil {
		t.Fatalf("verify %s: %v", d.Event, err)
	}
	h, err := f.Heading(d.Header)
	if err != nil || h.Kind != d.Event || h.Key != d.UUID || h.Hook == "" {
		t.Errorf("heading: got %+v, %v, want %s %s", h, err, d.Event, d.UUID)
	}
	e, err := f.Parse(triggers.Delivery{ID: "d", Forge: "hub", Kind: h.Kind, Key: h.Key, Body: d.Body, At: d.At})
	if err != nil {
		t.Fatalf("parse %s: %v\n%s", d.Event, err, d.Body)
	}
	return e
}

func TestPushIsDelivered(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	one := commit(t, w, "one", map[string]string{"a.txt": "1"}, "HEAD:main")
	if _, err := w.Commit(t.Context(), "two", map[string]string{"ü/b c.txt": "1"}); err != nil {
		t.Fatal(err)
	}
	three := commit(t, w, "three\n\nmore", map[string]string{"a.txt": "2"}, "HEAD:main")
	sent := await(t, s, 2)
	if first := hear(t, s, sent[0]); first.Before != "" || first.After != one || first.Files != nil {
		t.Errorf("first push: got %+v", first)
	}
	got := hear(t, s, sent[1])
	want := triggers.Event{
		ID: "d", Delivery: "d", Kind: triggers.Push, Forge: "hub", Ref: "refs/heads/main", Branch: "main", Before: one, After: three,
		Message: "three\n\nmore\n", Author: triggers.Person{Name: "Ada Lovelace", Email: "ada@example.com"}, Sender: "github-tester",
		Files: &[]string{"a.txt", "ü/b c.txt"}, URL: s.URL + "/shop/api/compare/" + one[:12] + "..." + three[:12], Time: got.Time,
		Repo: triggers.Repository{
			ID: "1", Name: "shop/api", HTTPURL: s.URL + "/shop/api.git", SSHURL: "git@127.0.0.1:shop/api.git",
			WebURL: s.URL + "/shop/api", DefaultBranch: "main",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("second push (-want +got):\n%s", diff)
	}
	if ping := s.Deliveries()[0]; ping.Event != "ping" || ping.Status != http.StatusAccepted {
		t.Errorf("ping: got %+v", ping)
	}
}

func TestTagsForcesAndDeletions(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	one := commit(t, w, "one", nil, "HEAD:topic")
	two := commit(t, w, "two", nil, "HEAD:topic")
	if err := w.Git(t.Context(), "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "tag", "-a", "-m", "release", "v1"); err != nil {
		t.Fatal(err)
	}
	push(t, w, "v1")
	push(t, w, "-f", one+":refs/heads/topic")
	push(t, w, "--delete", "topic", "v1")
	sent := await(t, s, 6)
	if tag := hear(t, s, sent[2]); tag.Kind != triggers.Tag || tag.Tag != "v1" || tag.After != two {
		t.Errorf("annotated tag: got %+v, want v1 at commit %s", tag, two)
	}
	if forced := hear(t, s, sent[3]); !forced.Forced || forced.Before != two || forced.After != one || forced.Files != nil {
		t.Errorf("forced push: got %+v", forced)
	}
	for i, ref := range map[int]string{4: "refs/heads/topic", 5: "refs/tags/v1"} {
		if gone := hear(t, s, sent[i]); gone.Kind != triggers.Deletion || gone.Ref != ref {
			t.Errorf("deletion %d: got %+v, want %s", i, gone, ref)
		}
	}
}

// TestTooManyTags is the push of which GitHub tells only the branch.
func TestTooManyTags(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	commit(t, w, "one", nil, "HEAD:refs/tags/a", "HEAD:refs/tags/b", "HEAD:refs/tags/c", "HEAD:refs/tags/d", "HEAD:main")
	push(t, w, "HEAD:refs/tags/e", "HEAD:refs/tags/f", "HEAD:refs/tags/g")
	var got []string
	for _, d := range await(t, s, 4) {
		got = append(got, hear(t, s, d).Ref)
	}
	if want := []string{"refs/heads/main", "refs/tags/e", "refs/tags/f", "refs/tags/g"}; !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAFormHook(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	s.AddHook("shop", "api", githubtest.Hook{URL: accepting(t), Secret: secret, Form: true})
	head := commit(t, w, "ü&=+", nil, "HEAD:main")
	d := await(t, s, 3)[2]
	if _, err := forge(t, s).Verify(d.Header, "", d.Body); err != nil {
		t.Fatal(err)
	}
	form, err := url.ParseQuery(string(d.Body))
	if err != nil || d.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Fatalf("got %v, %v", d.Header, err)
	}
	e, err := forge(t, s).Parse(triggers.Delivery{ID: "d", Kind: "push", Body: []byte(form.Get("payload"))})
	if err != nil || e.After != head || e.Message != "ü&=+\n" {
		t.Errorf("got %+v, %v", e, err)
	}
}

func TestGitWantsTheToken(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	commit(t, w, "one", nil, "HEAD:main")
	a, err := forge(t, s).Access(triggers.Repository{Name: "shop/api"})
	if err != nil || a.URL != s.URL+"/shop/api.git" {
		t.Fatalf("access: got %+v, %v", a, err)
	}
	for password, ok := range map[string]bool{string(a.Password): true, "other": false, "": false} {
		address := strings.Replace(a.URL, "http://", "http://"+a.Username+":"+password+"@", 1)
		cmd := exec.Command("git", "ls-remote", address)
		cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_GLOBAL=/dev/null")
		if out, err := cmd.CombinedOutput(); (err == nil) != ok {
			t.Errorf("password %q: got %v %s, want it served: %v", password, err, out, ok)
		}
	}
}

func TestImpossibleRepositories(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	for _, name := range []string{"", "../x", "a/b", "api"} {
		if err := s.CreateRepo("shop", name); err == nil {
			t.Errorf("%q was made", name)
		}
	}
	if id := s.AddHook("shop", "web", githubtest.Hook{}); id != 0 {
		t.Errorf("a hook of no repository was made: %d", id)
	}
}
