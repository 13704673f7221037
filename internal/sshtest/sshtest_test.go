package sshtest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace-ci/millrace/internal/sshtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves shop/it's.git with one commit.
func start(t *testing.T) *sshtest.Server {
	t.Helper()
	root := t.TempDir()
	bare := filepath.Join(root, "shop", "it's.git")
	run(t, nil, "git", "init", "-q", "--bare", "-b", "main", bare)
	tree := run(t, nil, "git", "-C", bare, "mktree")
	commit := run(t, nil, "git", "-C", bare, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit-tree", "-m", "one", tree)
	run(t, nil, "git", "-C", bare, "update-ref", "refs/heads/main", commit)
	s, err := sshtest.Start(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// openSSH is the environment of a git whose ssh has the given key and knows the server.
func openSSH(t *testing.T, s *sshtest.Server, key []byte) []string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{"key": key, "known_hosts": s.KnownHosts()} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"GIT_SSH_COMMAND=ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -i " + dir + "/key -o UserKnownHostsFile=" + dir + "/known_hosts"}
}

func run(t *testing.T, environment []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), environment...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// TestClone clones and pushes as a pod does it, by the ssh of OpenSSH with a key and a known host.
func TestClone(t *testing.T) {
	t.Parallel()
	s := start(t)
	environment := openSSH(t, s, s.PrivateKey())
	clone := filepath.Join(t.TempDir(), "clone")
	run(t, environment, "git", "clone", "-q", s.URL("/shop/it's.git"), clone)
	run(t, environment, "git", "-C", clone, "push", "-q", "origin", "HEAD:refs/heads/other")
	if got, want := run(t, environment, "git", "ls-remote", s.URL("/shop/it's.git"), "refs/heads/other"), run(t, nil, "git", "-C", clone, "rev-parse", "HEAD"); !strings.HasPrefix(got, want) {
		t.Errorf("refs/heads/other: got %q, want %s", got, want)
	}
	want := []string{`git-upload-pack '/shop/it'\''s.git'`, `git-receive-pack '/shop/it'\''s.git'`, `git-upload-pack '/shop/it'\''s.git'`}
	if diff := cmp.Diff(want, s.Commands()); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	s, other := start(t), start(t)
	tests := map[string]struct {
		environment []string
		url, want   string
	}{
		"another key":       {openSSH(t, s, other.PrivateKey()), s.URL("/shop/it's.git"), "Permission denied"},
		"another host":      {openSSH(t, other, s.PrivateKey()), s.URL("/shop/it's.git"), "Host key verification failed"},
		"no repository":     {openSSH(t, s, s.PrivateKey()), s.URL("/shop/none.git"), "does not appear to be a git repository"},
		"another user name": {openSSH(t, s, s.PrivateKey()), strings.Replace(s.URL("/shop/it's.git"), "git@", "root@", 1), "Permission denied"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("git", "ls-remote", tt.url)
			cmd.Env = append(os.Environ(), tt.environment...)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("got %v, %q, want %q", err, out, tt.want)
			}
		})
	}
}
