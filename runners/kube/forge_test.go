package kube_test

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace-ci/millrace/internal/sshtest"
	"github.com/millrace-ci/millrace/runners"
)

const token = "s3cr3t-w0rd"

// forge is a real git server, over http for those who have the token, and over ssh. Its branch main
// goes from old to head; a forced push took gone off it, so that no fetch of a ref brings that commit.
type forge struct {
	*httptest.Server
	ssh                *sshtest.Server
	old, head, gone    string
	bad, requests      atomic.Int32 // so many requests are answered with 503 first; how many there were
	ancient, elsewhere atomic.Bool  // speaks protocol 0, and so gives out no bare commits but tips; sends to another address
}

func newForge(t *testing.T) *forge {
	t.Helper()
	root, f := t.TempDir(), &forge{}
	work, bare := filepath.Join(root, "work"), filepath.Join(root, "shop", "api.git")
	git(t, root, "init", "--quiet", "--initial-branch=main", work)
	f.old = commitFile(t, work, "old")
	f.gone = commitFile(t, work, "gone")
	git(t, root, "clone", "--quiet", "--bare", work, bare)
	git(t, work, "reset", "--quiet", "--hard", f.old)
	f.head = commitFile(t, work, "head")
	git(t, work, "push", "--quiet", "--force", bare, "main")
	var err error
	if f.ssh, err = sshtest.Start(root); err != nil {
		t.Fatal(err)
	}
	f.Server = httptest.NewServer(f.guard(&cgi.Handler{
		Path:   git(t, root, "--exec-path") + "/git-http-backend",
		Env:    []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "HOME=" + root},
		Stderr: new(strings.Builder),
	}))
	t.Cleanup(func() {
		f.Close()
		if err := f.ssh.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *forge) guard(backend http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.requests.Add(1)
		user, pass, _ := r.BasicAuth()
		switch {
		case f.elsewhere.Load():
			http.Redirect(w, r, "http://localhost:1"+r.URL.Path, http.StatusMovedPermanently)
		case f.bad.Add(-1) >= 0:
			http.Error(w, "try again", http.StatusServiceUnavailable)
		case user != "robot" || pass != token:
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
		default:
			if f.ancient.Load() {
				r.Header.Del("Git-Protocol")
			}
			backend.ServeHTTP(w, r)
		}
	})
}

// overHTTP and overSSH are a commit as the agent hands it over.
func (f *forge) overHTTP(commit string) runners.Source {
	return runners.Source{URL: f.URL + "/shop/api.git", Username: "robot", Password: token, Ref: "refs/heads/main", Commit: commit}
}

func (f *forge) overSSH(commit string) runners.Source {
	return runners.Source{URL: f.ssh.URL("/shop/api.git"), Ref: "refs/heads/main", Commit: commit}
}

func commitFile(t *testing.T, dir, name string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "add", ".")
	git(t, dir, "commit", "--quiet", "-m", name)
	return git(t, dir, "rev-parse", "HEAD")
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
