package giteatest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Push commits files (path to content) in a new working tree, pushes that to branch at url, and returns the commit.
// Each call makes a history of its own, so it is a forced push where the branch exists.
func Push(ctx context.Context, url, branch, message string, files map[string]string) (string, error) {
	dir, err := os.MkdirTemp("", "worktree-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return "", err
		}
	}
	commit := ""
	for _, args := range [][]string{
		{"init", "-q", "-b", branch},
		{"add", "-A"},
		{"-c", "user.name=Ada Lovelace", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false", "commit", "-q", "-m", message},
		{"push", "-q", "--force", url, "HEAD:refs/heads/" + branch},
		{"rev-parse", "HEAD"},
	} {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("git %s: %w\n%s", args[0], err, out)
		}
		commit = strings.TrimSpace(string(out))
	}
	return commit, nil
}
