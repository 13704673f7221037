package giteatest

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

// git runs git in the bare repository dir and returns what it printed.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--git-dir=" + dir}, args...)...)
	cmd.Env = append(os.Environ(), environment...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

func initBare(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if _, err := git(ctx, dir, "init", "--quiet", "--bare", "--template=", "--initial-branch=main"); err != nil {
		return err
	}
	for _, kv := range []string{
		"http.receivepack true", "uploadpack.allowFilter true", "uploadpack.allowAnySHA1InWant true",
		"receive.autogc false", "gc.auto 0", // No process of git outlives its request.
	} {
		key, value, _ := strings.Cut(kv, " ")
		if _, err := git(ctx, dir, "config", key, value); err != nil {
			return err
		}
	}
	return nil
}

// serveGit serves one request of git, and tells the hooks what a push changed.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	repo := s.repo(r.PathValue("owner"), r.PathValue("name"))
	switch {
	case !s.allowed(r):
		w.Header().Set("WWW-Authenticate", `Basic realm="Gitea"`)
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	case repo == nil || !strings.HasSuffix(r.PathValue("name"), ".git"):
		http.NotFound(w, r)
		return
	}
	handler, err := s.backend(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if r.Method != http.MethodPost || r.PathValue("rest") != "git-receive-pack" {
		handler.ServeHTTP(w, r)
		return
	}
	repo.push.Lock()
	defer repo.push.Unlock()
	before, err := refs(s.ctx, repo.dir)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	handler.ServeHTTP(w, r)
	after, err := refs(s.ctx, repo.dir)
	if err != nil {
		return // The client has its answer; only a closing server ends here.
	}
	s.tell(repo, before, after)
}

// backend is the CGI program for r, whose body has a length afterwards.
func (s *Server) backend(r *http.Request) (*cgi.Handler, error) {
	path, err := backend()
	if err != nil {
		return nil, err
	}
	if r.ContentLength < 0 {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxPush))
		if err != nil {
			return nil, err
		}
		r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	}
	return &cgi.Handler{
		Path: path, Root: "/", Dir: s.cfg.Dir, Stderr: io.Discard,
		Env: append([]string{"GIT_PROJECT_ROOT=" + s.cfg.Dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=" + pusher}, environment...),
	}, nil
}

// refs are all branches and tags and what they point at.
func refs(ctx context.Context, dir string) (map[string]string, error) {
	out, err := git(ctx, dir, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
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
