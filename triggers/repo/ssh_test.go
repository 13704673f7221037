package repo_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/repo"
)

// sshForge serves f's repository over ssh, and returns its address and how to log in. git answers; the server around it
// is the one of Go's ssh package.
func sshForge(t *testing.T, f *forge) (url string, login *ssh.ClientConfig) {
	t.Helper()
	host, user := newKey(t), newKey(t)
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "git" || string(key.Marshal()) != string(user.PublicKey().Marshal()) {
			return nil, exec.ErrNotFound
		}
		return nil, nil
	}}
	cfg.AddHostKey(host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { f.serveSSH(conn, cfg) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return "ssh://git@" + l.Addr().String() + f.dir, &ssh.ClientConfig{
		Auth: []ssh.AuthMethod{ssh.PublicKeys(user)}, HostKeyCallback: ssh.FixedHostKey(host.PublicKey()),
	}
}

func newKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (f *forge) serveSSH(conn net.Conn, cfg *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, cfg)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { ssh.DiscardRequests(requests) })
	for c := range channels {
		wg.Go(func() { f.serveChannel(c) })
	}
	wg.Wait()
}

func (f *forge) serveChannel(c ssh.NewChannel) {
	channel, requests, err := c.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	for r := range requests {
		if r.Type != "exec" {
			_ = r.Reply(false, nil)
			continue
		}
		f.mu.Lock()
		f.requests = append(f.requests, "exec")
		f.mu.Unlock()
		_ = r.Reply(true, nil)
		var command struct{ Line string }
		_ = ssh.Unmarshal(r.Payload, &command)
		cmd := exec.Command("sh", "-c", command.Line)
		cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
		stdin, _ := cmd.StdinPipe()
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(stdin, channel); stdin.Close() })
		status := struct{ Code uint32 }{}
		if cmd.Run() != nil {
			status.Code = 1
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(&status))
		channel.Close()
		wg.Wait()
		return
	}
}

func TestSSH(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		config []string
		asked  string
	}{
		"filter, any": {[]string{"uploadpack.allowFilter=true", "uploadpack.allowAnySHA1InWant=true"}, "exec, exec"},
		"default":     {nil, "exec"},
		"filter only": {[]string{"uploadpack.allowFilter=true"}, "exec"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newForge(t, tt.config...)
			f.dir = renamed(t, f.dir, "it's a repo!.git")
			old := f.commit("main", append(many(300), file{path: ".millrace.yaml", data: "old"})...)
			tip := f.commit("main", append(many(300), file{path: ".millrace.yaml", data: "new"})...)
			url, login := sshForge(t, f)
			r := repo.New(repo.Config{SSH: login})
			access := triggers.Access{URL: strings.ReplaceAll(url, " ", "%20")}
			files, _, err := r.Definitions(t.Context(), access, triggers.At{Ref: "refs/heads/main", Commit: tip})
			if err != nil {
				t.Fatal(err)
			}
			same(t, "files", files, []triggers.File{{Path: ".millrace.yaml", Data: []byte("new")}})
			same(t, "requests", f.asked(), tt.asked)

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
	url, login := sshForge(t, f)
	stranger, other := *login, *login
	stranger.Auth = []ssh.AuthMethod{ssh.PublicKeys(newKey(t))}
	other.HostKeyCallback = ssh.FixedHostKey(newKey(t).PublicKey())
	for name, tt := range map[string]struct {
		url   string
		login *ssh.ClientConfig
		want  error
		text  string
	}{
		"not configured":   {url, nil, repo.ErrUnsupported, "no ssh key is configured"},
		"another key":      {url, &stranger, repo.ErrDenied, "does not know our ssh key"},
		"another host key": {url, &other, nil, "host key mismatch"},
		"no repository":    {url + "x", login, repo.ErrNotFound, "no such repository"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := repo.New(repo.Config{SSH: tt.login}).Definitions(t.Context(), triggers.Access{URL: tt.url}, triggers.At{Commit: commit})
			wantError(t, err, tt.want, tt.text)
		})
	}
}
