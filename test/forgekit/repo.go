// Package forgekit is what the little forges of the tests (githubtest, gitlabtest, giteatest) have in common: a server;
// bare repositories that the git binary serves over HTTP, what a push to one changed, and clones to work in; a courier
// that posts webhook deliveries and remembers the answers; faults to be injected; waiting for a change. It knows no
// forge: what its payloads look like, and who may do what, each says itself.
package forgekit

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// maxPush bounds, in bytes, a push whose length the client does not tell; CGI needs one.
const maxPush = 64 << 20

// environment keeps git from reading this machine's configuration.
var environment = []string{"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "LC_ALL=C"}

// backend is where git keeps the program that serves it over HTTP.
var backend = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return "", fmt.Errorf("find git: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"), nil
})

// Repo is a bare repository. It is safe for concurrent use.
type Repo struct {
	Root   string // the folder of all repositories, absolute
	Path   string // shop/api: it lies in, and is served as, Root/shop/api.git
	Pusher string // whom git takes everybody for who pushes

	push sync.Mutex // held by one push at a time, so that its refs before and after are its own
}

// Dir is where the repository lies.
func (r *Repo) Dir() string { return filepath.Join(r.Root, filepath.FromSlash(r.Path)+".git") }

// SSH is where git clones the repository from over ssh, below base: the URL of a server such as internal/sshtest, or, if
// it is "", port 22 of this machine, written without a scheme as forges do that.
func (r *Repo) SSH(base string) string {
	if base == "" {
		return "git@127.0.0.1:" + r.Path + ".git"
	}
	return base + "/" + r.Path + ".git"
}

// Init makes the repository, empty and with the default branch main.
func (r *Repo) Init(ctx context.Context) error {
	if err := os.MkdirAll(r.Dir(), 0o700); err != nil {
		return err
	}
	if _, err := r.Git(ctx, "init", "--quiet", "--bare", "--template=", "--initial-branch=main"); err != nil {
		return err
	}
	for _, kv := range []string{
		"http.receivepack true", "uploadpack.allowFilter true", "uploadpack.allowAnySHA1InWant true",
		"receive.autogc false", "gc.auto 0", // No process of git outlives its request.
	} {
		key, value, _ := strings.Cut(kv, " ")
		if _, err := r.Git(ctx, "config", key, value); err != nil {
			return err
		}
	}
	return nil
}

// Git runs git in the repository and returns what it printed.
func (r *Repo) Git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--git-dir=" + r.Dir()}, args...)...)
	cmd.Env = append(os.Environ(), environment...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// HasCommit tells whether sha is a commit of the repository.
func (r *Repo) HasCommit(ctx context.Context, sha string) bool {
	_, err := r.Git(ctx, "cat-file", "-e", sha+"^{commit}")
	return err == nil
}

// Serve answers one request of git, whose path begins with the repository's. After a push it calls changed with what
// the push did, before the next push begins. ctx bounds only the looking; a push ends with its request.
func (r *Repo) Serve(ctx context.Context, w http.ResponseWriter, req *http.Request, changed func([]Change)) {
	handler, err := r.handler(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, "/git-receive-pack") {
		handler.ServeHTTP(w, req)
		return
	}
	r.push.Lock()
	defer r.push.Unlock()
	before, err := r.refs(ctx)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	handler.ServeHTTP(w, req)
	after, err := r.refs(ctx)
	if err != nil {
		return // The client has its answer; only a closing server ends here.
	}
	changed(changes(before, after))
}

// handler is the CGI program for req, whose body has a length afterwards.
func (r *Repo) handler(req *http.Request) (*cgi.Handler, error) {
	path, err := backend()
	if err != nil {
		return nil, err
	}
	if req.ContentLength < 0 {
		body, err := io.ReadAll(io.LimitReader(req.Body, maxPush))
		if err != nil {
			return nil, err
		}
		req.Body, req.ContentLength, req.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	}
	return &cgi.Handler{
		Path: path, Root: "/", Dir: r.Root, Stderr: io.Discard,
		Env: append([]string{"GIT_PROJECT_ROOT=" + r.Root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=" + r.Pusher}, environment...),
	}, nil
}

// refs are all branches and tags and what they point at.
func (r *Repo) refs(ctx context.Context) (map[string]string, error) {
	out, err := r.Git(ctx, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for line := range strings.Lines(out) {
		id, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		all[name] = id
	}
	return all, nil
}

// Zero is the id by which forges say 'none'.
const Zero = "0000000000000000000000000000000000000000"

// Change is a ref that a push moved; Zero stands for none.
type Change struct{ Ref, Before, After string }

// Tag tells whether the ref is a tag; else it is a branch.
func (c Change) Tag() bool { return strings.HasPrefix(c.Ref, "refs/tags/") }

// Short is the branch's or tag's name.
func (c Change) Short() string {
	return strings.TrimPrefix(strings.TrimPrefix(c.Ref, "refs/heads/"), "refs/tags/")
}

// changes are the refs that differ, in the order of their names.
func changes(before, after map[string]string) []Change {
	var all []Change
	for ref, id := range after {
		if old, ok := before[ref]; !ok {
			all = append(all, Change{ref, Zero, id})
		} else if old != id {
			all = append(all, Change{ref, old, id})
		}
	}
	for ref, id := range before {
		if _, ok := after[ref]; !ok {
			all = append(all, Change{ref, id, Zero})
		}
	}
	slices.SortFunc(all, func(a, b Change) int { return strings.Compare(a.Ref, b.Ref) })
	return all
}
