package repo_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace-ci/millrace/triggers"
)

// forge is a real git server over smart HTTP, with one repository, that counts what it is asked.
type forge struct {
	t    testing.TB
	dir  string // of the bare repository
	url  string
	wrap func(http.ResponseWriter, *http.Request, http.Handler) // in front of git, may be nil

	connections atomic.Int32
	mu          sync.Mutex
	requests    []string
}

// newForge serves a new bare repository; config are lines of its configuration such as uploadpack.allowFilter=true.
func newForge(t testing.TB, config ...string) *forge {
	t.Helper()
	root := t.TempDir()
	f := &forge{t: t, dir: filepath.Join(root, "o", "r.git")}
	f.run("", "init", "-q", "--bare", "-b", "main", f.dir)
	for _, c := range config {
		name, value, _ := strings.Cut(c, "=")
		f.run("", "-C", f.dir, "config", name, value)
	}
	execPath := strings.TrimSpace(f.run("", "--exec-path"))
	git := &cgi.Handler{
		Path:   filepath.Join(execPath, "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "HOME=" + root},
		Stderr: io.Discard,
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.requests = append(f.requests, r.Method+" "+filepath.Base(r.URL.Path))
		f.mu.Unlock()
		if f.wrap != nil {
			f.wrap(w, r, git)
			return
		}
		git.ServeHTTP(w, r)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			f.connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	f.url = server.URL + "/o/r.git"
	return f
}

// open is a server that filters and gives out anything, as GitHub, GitLab and Gitea do.
func open(t testing.TB) *forge {
	return newForge(t, "uploadpack.allowFilter=true", "uploadpack.allowAnySHA1InWant=true")
}

func (f *forge) access() triggers.Access { return triggers.Access{URL: f.url} }

// asked returns the requests so far, as "GET refs POST git-upload-pack ...", and forgets them.
func (f *forge) asked() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := strings.Join(f.requests, ", ")
	f.requests = nil
	return s
}

// What a reading asks: the handshake, and one or two packs.
const (
	askedOnce  = "GET refs, POST git-upload-pack"
	askedTwice = "GET refs, POST git-upload-pack, POST git-upload-pack"
)

// run runs git and returns what it says.
func (f *forge) run(stdin string, args ...string) string {
	f.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		f.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return stdout.String()
}

// file is one entry of a commit; mode "" is a plain file.
type file struct{ path, mode, data string }

// commit adds a commit with exactly these files to the branch, which it may begin, and returns its id.
func (f *forge) commit(branch string, files ...file) string {
	f.t.Helper()
	var in strings.Builder
	fmt.Fprintf(&in, "commit refs/heads/%s\ncommitter a <a@b> 1700000000 +0000\ndata 2\nm\n", branch)
	if f.has(branch) {
		fmt.Fprintf(&in, "from refs/heads/%s^0\n", branch)
	}
	in.WriteString("deleteall\n")
	for _, x := range files {
		switch x.mode {
		case "":
			fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", x.path, len(x.data), x.data)
		case "160000":
			fmt.Fprintf(&in, "M 160000 %s %s\n", x.data, x.path)
		default:
			fmt.Fprintf(&in, "M %s inline %s\ndata %d\n%s\n", x.mode, x.path, len(x.data), x.data)
		}
	}
	f.run(in.String(), "-C", f.dir, "fast-import", "--quiet", "--force")
	return f.tip(branch)
}

func (f *forge) has(branch string) bool {
	return f.run("", "-C", f.dir, "for-each-ref", "refs/heads/"+branch) != ""
}

func (f *forge) tip(branch string) string {
	f.t.Helper()
	return strings.TrimSpace(f.run("", "-C", f.dir, "rev-parse", "refs/heads/"+branch))
}

// many is n files in folders of 100, with a little content of their own.
func many(n int) []file {
	files := make([]file, n)
	for i := range files {
		files[i] = file{path: fmt.Sprintf("src/d%04d/f%02d.go", i/100, i%100), data: fmt.Sprintf("package d%d // %d\n", i/100, i)}
	}
	return files
}
