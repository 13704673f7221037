package forgekit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Worktree is a clone that somebody works in.
type Worktree struct {
	dir, branch string
}

// Clone clones url and stands on branch, which need not exist yet. The caller closes it.
func Clone(ctx context.Context, url, branch string) (*Worktree, error) {
	dir, err := os.MkdirTemp("", "worktree-")
	if err != nil {
		return nil, err
	}
	w := &Worktree{dir, branch}
	for _, args := range [][]string{{"clone", "-q", url, "."}, {"symbolic-ref", "HEAD", "refs/heads/" + branch}} {
		if err := w.Git(ctx, args...); err != nil {
			return nil, errors.Join(err, w.Close())
		}
	}
	return w, nil
}

// Close removes the clone.
func (w *Worktree) Close() error { return os.RemoveAll(w.dir) }

// Commit writes files (path to content) and commits them as Ada Lovelace. It returns the commit.
func (w *Worktree) Commit(ctx context.Context, message string, files map[string]string) (string, error) {
	for name, content := range files {
		path := filepath.Join(w.dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return "", err
		}
	}
	if _, err := w.git(ctx, "add", "-A"); err != nil {
		return "", err
	}
	who := []string{"-c", "user.name=Ada Lovelace", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"}
	if _, err := w.git(ctx, append(who, "commit", "-q", "--allow-empty", "-m", message)...); err != nil {
		return "", err
	}
	return w.git(ctx, "rev-parse", "HEAD")
}

// Push pushes what was committed.
func (w *Worktree) Push(ctx context.Context) error {
	return w.Git(ctx, "push", "-q", "origin", "HEAD:refs/heads/"+w.branch)
}

// Git runs git in the clone.
func (w *Worktree) Git(ctx context.Context, args ...string) error {
	_, err := w.git(ctx, args...)
	return err
}

func (w *Worktree) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", args[0], err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
