package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// gitServer is git's own server over smart HTTP on loopback, with generated repositories, that counts what it is asked.
// Whatever its API is told it acknowledges.
type gitServer struct {
	root  string
	http  *httptest.Server
	asked atomic.Int64  // requests
	slow  chan struct{} // unless nil, requests wait until it is closed
}

func startGit(ctx context.Context) (*gitServer, error) {
	root, err := os.MkdirTemp("", "bench-git")
	if err != nil {
		return nil, err
	}
	g := &gitServer{root: root}
	where, err := g.run(ctx, nil, "--exec-path")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(root))
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(where), "git-http-backend"), Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "HOME=" + root},
	}
	g.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			acknowledge(w, r)
			return
		}
		g.asked.Add(1)
		if g.slow != nil {
			<-g.slow
		}
		backend.ServeHTTP(w, r)
	}))
	return g, nil
}

func (g *gitServer) stop() {
	g.http.Close()
	_ = os.RemoveAll(g.root)
}

// run runs git, which has no settings but the repository's own, and returns what it says.
func (g *gitServer) run(ctx context.Context, in io.Reader, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	cmd.Stdin = in
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, &said)
	}
	return out.String(), nil
}

// repository is a generated one.
type repository struct {
	dir, url, commit string
}

// generate makes a repository of so many files and commits, of which the last has all the files.
func (g *gitServer) generate(ctx context.Context, name string, files, commits int) (repository, error) {
	r := repository{dir: filepath.Join(g.root, name), url: g.http.URL + "/" + name}
	if _, err := g.run(ctx, nil, "init", "-q", "--bare", "-b", "main", r.dir); err != nil {
		return r, err
	}
	for _, setting := range []string{"uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"} {
		if _, err := g.run(ctx, nil, "-C", r.dir, "config", setting, "true"); err != nil {
			return r, err
		}
	}
	history, written := io.Pipe()
	go func() { _ = written.CloseWithError(writeHistory(written, files, commits)) }()
	_, err := g.run(ctx, history, "-C", r.dir, "fast-import", "--quiet")
	_ = history.Close()
	if err != nil {
		return r, err
	}
	if _, err := g.run(ctx, nil, "-C", r.dir, "repack", "-adq"); err != nil {
		return r, err
	}
	commit, err := g.run(ctx, nil, "-C", r.dir, "rev-parse", "main")
	r.commit = strings.TrimSpace(commit)
	return r, err
}

// pipelineText is the pipeline of all repositories.
const pipelineText = "name: build\non: push\nstages: [{name: s, tasks: [{name: t, uses: script@v1, with: {SCRIPT: 'true'}}]}]\n"

// writeHistory tells fast-import of files in folders of 50, which the first commit brings and of which each later one
// changes one. One file is the pipeline.
func writeHistory(to io.Writer, files, commits int) error {
	w := bufio.NewWriter(to)
	for c := range commits {
		fmt.Fprintf(w, "commit refs/heads/main\ncommitter a <a@example.com> %d +0000\ndata 2\nm\n", 1_700_000_000+c)
		first, last := c%files, c%files+1
		if c == 0 {
			fmt.Fprintf(w, "M 100644 inline .millrace.yaml\ndata %d\n%s\n", len(pipelineText), pipelineText)
			first, last = 0, files
		}
		for i := first; i < last; i++ {
			text := fmt.Sprintf("package d%d // file %d at commit %d\n", i/50%50, i, c)
			fmt.Fprintf(w, "M 100644 inline src/d%02d/d%02d/f%02d.go\ndata %d\n%s\n", i/2500, i/50%50, i%50, len(text), text)
		}
	}
	return w.Flush()
}
