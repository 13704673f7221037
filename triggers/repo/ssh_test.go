package repo_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/millrace-ci/millrace/internal/sshtest"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/repo"
)

// sshForge serves this machine's repositories over ssh, with a key and a host that only its own clients know.
func sshForge(t *testing.T) *sshtest.Server {
	t.Helper()
	s, err := sshtest.Start("")
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

func TestSSH(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		config []string
		asked  int
	}{
		"filter, any": {[]string{"uploadpack.allowFilter=true", "uploadpack.allowAnySHA1InWant=true"}, 2},
		"default":     {nil, 1},
		"filter only": {[]string{"uploadpack.allowFilter=true"}, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newForge(t, tt.config...)
			f.dir = renamed(t, f.dir, "it's a repo!.git")
			old := f.commit("main", append(many(300), file{path: ".millrace.yaml", data: "old"})...)
			tip := f.commit("main", append(many(300), file{path: ".millrace.yaml", data: "new"})...)
			server := sshForge(t)
			r := repo.New(repo.Config{SSH: server.Login()})
			access := triggers.Access{URL: strings.ReplaceAll(server.URL(f.dir), " ", "%20")}
			files, _, err := r.Definitions(t.Context(), access, triggers.At{Ref: "refs/heads/main", Commit: tip})
			if err != nil {
				t.Fatal(err)
			}
			same(t, "files", files, []triggers.File{{Path: ".millrace.yaml", Data: []byte("new")}})
			same(t, "requests", len(server.Commands()), tt.asked)

			_, _, err = r.Definitions(t.Context(), access, triggers.At{Ref: "refs/heads/main", Commit: old})
			if name == "filter, any" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, repo.ErrNotFound, "refs/heads/main is at "+tip[:12]+" now")
		})
	}
}

// renamed moves a repository to another name in its folder.
func renamed(t *testing.T, dir, name string) string {
	t.Helper()
	to := filepath.Join(filepath.Dir(dir), name)
	if out, err := exec.Command("mv", dir, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

func TestSSHErrors(t *testing.T) {
	t.Parallel()
	f := open(t)
	commit := f.commit("main")
	server, elsewhere := sshForge(t), sshForge(t)
	url, login, stranger, other := server.URL(f.dir), server.Login(), server.Login(), server.Login()
	stranger.Auth = elsewhere.Login().Auth
	other.HostKeyCallback = elsewhere.Login().HostKeyCallback
	for name, tt := range map[string]struct {
		url   string
		login *ssh.ClientConfig
		want  error
		text  string
	}{
		"not configured":   {url, nil, repo.ErrUnsupported, "no ssh key is configured"},
		"another key":      {url, stranger, repo.ErrDenied, "does not know our ssh key"},
		"another host key": {url, other, nil, "host key mismatch"},
		"no repository":    {url + "x", login, repo.ErrNotFound, "no such repository"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := repo.New(repo.Config{SSH: tt.login}).Definitions(t.Context(), triggers.Access{URL: tt.url}, triggers.At{Commit: commit})
			wantError(t, err, tt.want, tt.text)
		})
	}
}
