package giteatest_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/test/giteatest"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/gitea"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token, secret = "t0ken", "s3cret"

// start starts a server with shop/api in it and a hook that accepts everything, and clones the repository.
func start(t *testing.T) (s *giteatest.Server, clone string) {
	t.Helper()
	s, err := giteatest.Start(giteatest.Config{Dir: filepath.Join(t.TempDir(), "gitea"), Token: token})
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
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(hook.Close)
	s.AddHook(hook.URL, secret)
	clone = filepath.Join(t.TempDir(), "clone")
	git(t, ".", "clone", "--quiet", s.CloneURL("shop", "api"), clone)
	return s, clone
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "init.defaultBranch=main"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes files, "" removes one, and returns the commit.
func commit(t *testing.T, dir, message string, files map[string]string) string {
	t.Helper()
	for name, data := range files {
		path := filepath.Join(dir, name)
		if data == "" {
			git(t, dir, "rm", "--quiet", name)
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		git(t, dir, "add", name)
	}
	git(t, dir, "commit", "--quiet", "-m", message)
	return git(t, dir, "rev-parse", "HEAD")
}

// await returns the deliveries once there are n.
func await(t *testing.T, s *giteatest.Server, n int) []giteatest.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Wait(ctx, func() bool { return len(s.Deliveries()) >= n }); err != nil {
		t.Fatalf("await %d deliveries, have %d: %v", n, len(s.Deliveries()), err)
	}
	return s.Deliveries()
}

func forge(t *testing.T, s *giteatest.Server) *gitea.Forge {
	t.Helper()
	f, err := gitea.New(gitea.Config{Name: "gitea", URL: s.URL, Token: token, Secrets: triggers.Secrets{{Value: secret}}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// hear verifies and parses a delivery as the door and the planner do.
func hear(t *testing.T, f *gitea.Forge, d giteatest.Delivery) (triggers.Event, error) {
	t.Helper()
	scope, err := f.Verify(d.Header, "", d.Body)
	if err != nil {
		t.Fatalf("verify %s: %v", d.Event, err)
	}
	h, err := f.Heading(d.Header)
	if err != nil {
		t.Fatalf("heading of %s: %v", d.Event, err)
	}
	if h.Kind != d.Event || h.Key != d.UUID {
		t.Errorf("heading: got %+v, want %s %s", h, d.Event, d.UUID)
	}
	return f.Parse(triggers.Delivery{ID: "d", Forge: "gitea", Kind: h.Kind, Key: h.Key, Body: d.Body, Scope: scope, At: d.At})
}

func TestPushIsDelivered(t *testing.T) {
	t.Parallel()
	s, dir := start(t)
	one := commit(t, dir, "one", map[string]string{"a.txt": "1", "b c.txt": "1"})
	git(t, dir, "push", "--quiet", "origin", "HEAD:refs/heads/main")
	two := commit(t, dir, "two\n\nmore", map[string]string{"a.txt": "2", "b c.txt": "", "ü/d.txt": "1"})
	git(t, dir, "push", "--quiet", "origin", "HEAD:refs/heads/main")

	sent := await(t, s, 3)
	if got, want := names(sent), []string{"create", "push", "push"}; !cmp.Equal(got, want) {
		t.Errorf("deliveries: got %v, want %v", got, want)
	}
	for _, d := range sent {
		if d.Status != http.StatusAccepted || d.Header.Get("X-GitHub-Delivery") != d.UUID || !strings.HasPrefix(d.Header.Get("X-Hub-Signature-256"), "sha256=") {
			t.Errorf("delivery %s: status %d, headers %v", d.Event, d.Status, d.Header)
		}
	}
	first, err := hear(t, forge(t, s), sent[1])
	if err != nil || first.Before != "" || first.After != one || first.Files != nil {
		t.Errorf("first push: got %+v, %v", first, err)
	}
	second, err := hear(t, forge(t, s), sent[2])
	if err != nil {
		t.Fatal(err)
	}
	want := triggers.Event{
		ID: "d", Delivery: "d", Kind: triggers.Push, Forge: "gitea", Ref: "refs/heads/main", Branch: "main", Before: one, After: two,
		Message: "two\n\nmore\n", Author: triggers.Person{Name: "Ada", Email: "ada@example.com"}, Sender: "gitea-tester",
		Files: &[]string{"a.txt", "b c.txt", "ü/d.txt"}, URL: s.URL + "/shop/api/compare/" + one + "..." + two, Time: sent[2].At.UTC(),
		Repo: triggers.Repository{
			ID: "1", Name: "shop/api", HTTPURL: s.URL + "/shop/api.git", SSHURL: "git@127.0.0.1:shop/api.git",
			WebURL: s.URL + "/shop/api", DefaultBranch: "main",
		},
	}
	if diff := cmp.Diff(want, second); diff != "" {
		t.Errorf("second push (-want +got):\n%s", diff)
	}
}

// TestALargePush is one that git sends in chunks, without a length.
func TestALargePush(t *testing.T) {
	t.Parallel()
	s, dir := start(t)
	noise := make([]byte, 3<<20)
	_, _ = rand.Read(noise)
	head := commit(t, dir, "large", map[string]string{"noise": string(noise)})
	git(t, dir, "push", "--quiet", "origin", "HEAD:refs/heads/main")
	e, err := hear(t, forge(t, s), await(t, s, 2)[1])
	if err != nil || e.After != head {
		t.Errorf("got %+v, %v, want commit %s", e, err, head)
	}
}

func names(sent []giteatest.Delivery) []string {
	var all []string
	for _, d := range sent {
		all = append(all, d.Event)
	}
	return all
}

func TestTagsAndDeletions(t *testing.T) {
	t.Parallel()
	s, dir := start(t)
	head := commit(t, dir, "one", map[string]string{"a.txt": "1"})
	git(t, dir, "tag", "-a", "-m", "release", "v1")
	git(t, dir, "push", "--quiet", "origin", "HEAD:refs/heads/topic", "v1")
	git(t, dir, "push", "--quiet", "--delete", "origin", "topic", "v1")

	sent := await(t, s, 7)
	if got, want := names(sent), []string{"create", "push", "push", "create", "delete", "push", "delete"}; !cmp.Equal(got, want) {
		t.Fatalf("deliveries: got %v, want %v", got, want)
	}
	f := forge(t, s)
	tag, err := hear(t, f, sent[2])
	if err != nil || tag.Kind != triggers.Tag || tag.Tag != "v1" || tag.After != head {
		t.Errorf("annotated tag: got %+v, %v; want v1 at commit %s", tag, err, head)
	}
	branchGone, err := hear(t, f, sent[4])
	if err != nil || branchGone.Kind != triggers.Deletion || branchGone.Ref != "refs/heads/topic" {
		t.Errorf("deleted branch: got %+v, %v", branchGone, err)
	}
	if _, err := hear(t, f, sent[5]); err == nil {
		t.Error("push of a deleted tag: it is acted on, beside its delete")
	}
	tagGone, err := hear(t, f, sent[6])
	if err != nil || tagGone.Kind != triggers.Deletion || tagGone.Ref != "refs/tags/v1" {
		t.Errorf("deleted tag: got %+v, %v", tagGone, err)
	}
}

func TestStatusesRoundTrip(t *testing.T) {
	t.Parallel()
	s, dir := start(t)
	sha := commit(t, dir, "one", map[string]string{"a.txt": "1"})
	git(t, dir, "push", "--quiet", "origin", "HEAD:refs/heads/main")
	f := forge(t, s)
	notice := report.Notice{Repo: "shop/api", Commit: sha, Context: "millrace/ci", Text: "going", URL: "http://127.0.0.1/runs/1"}
	for _, state := range []report.State{report.Pending, report.Running, report.Succeeded} {
		notice.State = state
		if _, err := f.Notify(t.Context(), notice); err != nil {
			t.Fatal(err)
		}
	}
	other := notice
	other.Context, other.State = "millrace/lint", report.Failed
	if _, err := f.Notify(t.Context(), other); err != nil {
		t.Fatal(err)
	}

	var listed []giteatest.Status
	get(t, s.URL+"/api/v1/repos/shop/api/statuses/"+sha, &listed)
	if got, want := words(listed), "millrace/lint=failure millrace/ci=success millrace/ci=pending millrace/ci=pending"; got != want {
		t.Errorf("list: got %s, want %s", got, want)
	}
	var combined giteatest.Combined
	get(t, s.URL+"/api/v1/repos/shop/api/commits/"+sha+"/status", &combined)
	if got, want := combined.State+": "+words(combined.Statuses), "failure: millrace/lint=failure millrace/ci=success"; got != want {
		t.Errorf("combined: got %s, want %s", got, want)
	}
}

func words(all []giteatest.Status) string {
	var list []string
	for _, s := range all {
		list = append(list, s.Context+"="+s.State)
	}
	return strings.Join(list, " ")
}

func get(t *testing.T, address string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+token)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", address, resp.Status, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s, dir := start(t)
	sha := commit(t, dir, "one", map[string]string{"a.txt": "1"})
	git(t, dir, "push", "--quiet", "origin", "HEAD:refs/heads/main")
	for _, c := range []struct {
		name, path, token, body string
		want                    int
	}{
		{"no token", "shop/api/statuses/" + sha, "", `{"state":"success"}`, 401},
		{"wrong token", "shop/api/statuses/" + sha, "other", `{"state":"success"}`, 401},
		{"unknown repository", "shop/web/statuses/" + sha, token, `{"state":"success"}`, 404},
		{"unknown commit", "shop/api/statuses/" + strings.Repeat("a", 40), token, `{"state":"success"}`, 404},
		{"no commit", "shop/api/statuses/--help", token, `{"state":"success"}`, 404},
		{"unknown state", "shop/api/statuses/" + sha, token, `{"state":"running"}`, 422},
		{"no JSON", "shop/api/statuses/" + sha, token, `nonsense`, 422},
		{"sound", "shop/api/statuses/" + sha, token, `{"state":"success"}`, 201},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/v1/repos/"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "token "+c.token)
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: got %d, want %d", c.name, resp.StatusCode, c.want)
		}
	}
	if err := s.CreateRepo("shop", "../x"); err == nil {
		t.Error("a repository called ../x was made")
	}
	if err := s.CreateRepo("shop", "api"); err == nil {
		t.Error("a repository was made twice")
	}
}

func TestInjectedFaults(t *testing.T) {
	t.Parallel()
	s, dir := start(t)
	sha := commit(t, dir, "one", map[string]string{"a.txt": "1"})
	git(t, dir, "push", "--quiet", "origin", "HEAD:refs/heads/main")
	f := forge(t, s)
	notice := report.Notice{Repo: "shop/api", Commit: sha, Context: "millrace/ci", State: report.Pending}
	s.Fail(1, http.StatusTooManyRequests, 7*time.Second)
	s.Fail(1, http.StatusBadGateway, 0)
	if _, err := f.Notify(t.Context(), notice); report.Wait(err) != 7*time.Second {
		t.Errorf("429: got %v with wait %v, want 7s", err, report.Wait(err))
	}
	if _, err := f.Notify(t.Context(), notice); err == nil || report.IsPermanent(err) || report.Wait(err) != 0 {
		t.Errorf("502: got %v, want one worth another try", err)
	}
	s.Cut(1)
	if _, err := f.Notify(t.Context(), notice); err == nil || report.IsPermanent(err) {
		t.Errorf("cut: got %v, want one worth another try", err)
	}
	if _, err := f.Notify(t.Context(), notice); err != nil {
		t.Errorf("after the faults: %v", err)
	}
	if got := len(s.Statuses("shop", "api", sha)); got != 2 {
		t.Errorf("statuses: got %d, want 2: the one whose answer was lost, and the one after it", got)
	}
}

func TestGitWantsTheToken(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	a, err := forge(t, s).Access(triggers.Repository{Name: "shop/api"})
	if err != nil {
		t.Fatal(err)
	}
	if a.Username == "" || string(a.Password) != token || a.URL != s.URL+"/shop/api.git" {
		t.Errorf("access: got %+v", a)
	}
	cmd := exec.Command("git", "ls-remote", s.URL+"/shop/api.git")
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_GLOBAL=/dev/null")
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("git was served without a token: %s", out)
	}
}

func TestAHookThatIsNotThere(t *testing.T) {
	t.Parallel()
	s, dir := start(t)
	s.AddHook("http://127.0.0.1:1/", "")
	commit(t, dir, "one", map[string]string{"a.txt": "1"})
	git(t, dir, "push", "--quiet", "origin", "HEAD:refs/heads/main")
	sent := await(t, s, 4)
	if sent[1].Status != 0 || sent[1].Err == "" || sent[1].Header.Get("X-Gitea-Signature") != "" {
		t.Errorf("delivery to nobody: got %+v", sent[1])
	}
}
