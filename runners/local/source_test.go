package local_test

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace-ci/millrace/runners"
)

const password = "s3cr3t-w0rd" // the same in JSON and in a URL

// forge is a real git server that wants a password.
type forge struct {
	*httptest.Server
	old, head string       // the two commits of its main branch
	bad       atomic.Int32 // so many requests are answered with 503 first
	requests  atomic.Int32
	ancient   atomic.Bool // speaks protocol 0, and so gives out no bare commits but tips
}

func newForge(t *testing.T) *forge {
	t.Helper()
	root, f := t.TempDir(), &forge{}
	repo := filepath.Join(root, "api.git")
	git(t, root, "init", "--quiet", "--initial-branch=main", repo)
	for i, name := range []string{"old", "head"} {
		if err := os.WriteFile(filepath.Join(repo, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		git(t, repo, "add", ".")
		git(t, repo, "commit", "--quiet", "-m", name)
		*[]*string{&f.old, &f.head}[i] = git(t, repo, "rev-parse", "HEAD")
	}
	backend := &cgi.Handler{
		Path: git(t, root, "--exec-path") + "/git-http-backend",
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "HOME=" + root}, Stderr: io.Discard,
	}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.requests.Add(1)
		user, pass, _ := r.BasicAuth()
		switch {
		case user != "robot" || pass != password:
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
		case f.bad.Add(-1) >= 0:
			http.Error(w, "try again", http.StatusServiceUnavailable)
		default:
			if f.ancient.Load() {
				r.Header.Del("Git-Protocol")
			}
			backend.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

// source is the commit as the agent hands it over.
func (f *forge) source(commit string) runners.Source {
	return runners.Source{URL: f.URL + "/api.git/.git", Username: "robot", Password: password, Ref: "refs/heads/main", Commit: commit}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// wantNoPassword searches everything that the runner keeps.
func wantNoPassword(t *testing.T, dir string) {
	t.Helper()
	awaitKeepers(t, dir)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if data, err := os.ReadFile(path); err != nil || strings.Contains(string(data), password) {
			t.Errorf("%s holds the password: %.500s %v", path, data, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCheckout(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	for name, c := range map[string]struct {
		commit  string
		ancient bool
		files   string
	}{
		"the head":                             {f.head, false, "head\nold\n"},
		"an older commit":                      {f.old, false, "old\n"},
		"an older commit of an ancient server": {f.old, true, "old\n"},
	} {
		f.ancient.Store(c.ancient)
		cfg := config(t)
		job := shell(t, "ls; cat .git/config; env; git rev-parse HEAD; git status --short")
		job.Source = f.source(c.commit)
		res, said := end(t, newRunner(t, cfg), job)
		wantResult(t, res, runners.Succeeded, 0, "")
		if !strings.HasPrefix(said, c.files) || !strings.Contains(said, "\n"+c.commit+"\nchecking out "+c.commit+" of "+f.URL) {
			t.Errorf("%s: got %q, want files %q, the commit and a line about it", name, said, c.files)
		}
		if strings.Contains(said, password) || strings.Contains(said, "Authorization") {
			t.Errorf("%s: the task sees the credentials: %q", name, said)
		}
		wantNoPassword(t, cfg.Dir)
	}
}

func TestCheckoutRetries(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.bad.Store(2) // Both ways of fetching fail, once.
	job := shell(t, "ls")
	job.Source = f.source(f.head)
	res, said := end(t, newRunner(t, config(t)), job)
	wantResult(t, res, runners.Succeeded, 0, "")
	if !strings.Contains(said, "503") || !strings.Contains(said, "trying again") {
		t.Errorf("log: got %q, want it to tell of the 503", said)
	}
}

func TestCheckoutFails(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	for name, c := range map[string]struct {
		change func(*runners.Source)
		reason string
	}{
		"no such commit":     {func(s *runners.Source) { s.Commit = strings.Repeat("0a", 20) }, "not"},
		"no such repository": {func(s *runners.Source) { s.URL = f.URL + "/none" }, "not found"},
		"nobody listens":     {func(s *runners.Source) { s.URL = "http://127.0.0.1:1/x" }, "127.0.0.1"},
		"wrong password":     {func(s *runners.Source) { s.Password = "wrong-" + password }, "Authentication failed"},
		"no password":        {func(s *runners.Source) { s.Username, s.Password = "", "" }, "Authentication failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, job := config(t), shell(t, "echo never")
			job.Source = f.source(f.head)
			c.change(&job.Source)
			res, said := end(t, newRunner(t, cfg), job)
			wantResult(t, res, runners.Infrastructure, -1, c.reason)
			if strings.Contains(said, "never") || strings.Contains(res.Reason, "\n") || !res.StartedAt.IsZero() {
				t.Errorf("got %+v and log %q, want that no command ran and one line", res, said)
			}
			wantNoPassword(t, cfg.Dir)
		})
	}
}

func TestRedirectDoesNotGetTheToken(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	from := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, f.URL+r.URL.RequestURI(), http.StatusMovedPermanently)
	}))
	defer from.Close()
	job := shell(t, "true")
	job.Source = f.source(f.head)
	job.Source.URL = strings.Replace(job.Source.URL, f.URL, from.URL, 1)
	res, _ := end(t, newRunner(t, config(t)), job)
	wantResult(t, res, runners.Infrastructure, -1, "301")
	if got := f.requests.Load(); got != 0 {
		t.Errorf("the other host got %d requests, want none", got)
	}
}

func TestHostileTree(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	f := newForge(t)
	clone := filepath.Join(root, "clone")
	ran := filepath.Join(root, "ran")
	git(t, root, "init", "--quiet", "--initial-branch=main", clone)
	for name, text := range map[string]string{
		".gitattributes": "* filter=evil\n",
		".gitmodules":    fmt.Sprintf("[submodule \"x\"]\n\tpath = x\n\turl = ext::sh -c 'touch %s'\n\tupdate = !touch %s\n", ran, ran),
		"file":           "text\n",
	} {
		if err := os.WriteFile(filepath.Join(clone, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(clone, "link")); err != nil {
		t.Fatal(err)
	}
	git(t, clone, "add", ".")
	git(t, clone, "commit", "--quiet", "-m", "evil")
	git(t, clone, "update-index", "--add", "--cacheinfo", "160000,"+f.head+",x")
	git(t, clone, "commit", "--quiet", "-m", "submodule")
	branch := `zzz";echo${IFS}"hello";#`
	git(t, clone, "branch", branch)
	server := httptest.NewServer(&cgi.Handler{
		Path: git(t, root, "--exec-path") + "/git-http-backend",
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + root}, Stderr: io.Discard,
	})
	defer server.Close()
	job := shell(t, `cat file; git symbolic-ref -q HEAD; ls -A x`)
	job.Source = runners.Source{URL: server.URL + "/clone/.git", Ref: "refs/heads/" + branch, Commit: git(t, clone, "rev-parse", "HEAD")}
	res, said := end(t, newRunner(t, config(t)), job)
	wantResult(t, res, runners.Succeeded, 0, "")
	if _, err := os.Stat(ran); err == nil || !strings.HasPrefix(said, "text\n") {
		t.Errorf("got %q, want the file's text, and that nothing of the repository was run", said)
	}
}

func TestStopDuringCheckout(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}, 10), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	r, job := newRunner(t, config(t)), shell(t, "true")
	job.Source = runners.Source{URL: server.URL + "/x", Commit: strings.Repeat("0a", 20)}
	uid, err := r.Start(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := r.Stop(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	res, err := r.Wait(t.Context(), job.ID, uid, nopLog{})
	if err != nil {
		t.Fatal(err)
	}
	wantResult(t, res, runners.Canceled, -1, "canceled")
}

type nopLog struct{}

func (nopLog) Write(p []byte) (int, error) { return len(p), nil }
func (nopLog) Mask(...string)              {}
func (nopLog) Resume() (string, error)     { return "", nil }
