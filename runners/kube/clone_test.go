package kube_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/internal/sshtest"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/kube"
)

// shells are those that tasks and clones meet: Debian's, Alpine's, and those who make sh of bash.
var shells = [][]string{{"dash"}, {"busybox", "sh"}, {"bash", "--posix"}}

// checkout is what came of one run of the script of the container clone.
type checkout struct {
	dir, log, message string
	code              int
}

// clone runs the script as the kubelet does: with the secrets as files and nothing else of this machine.
func clone(t *testing.T, shell []string, s runners.Source, secrets map[string][]byte) checkout {
	t.Helper()
	private, work := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(private, "secret"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range secrets {
		if err := os.WriteFile(filepath.Join(private, "secret", name), data, 0o440); err != nil {
			t.Fatal(err)
		}
	}
	message := filepath.Join(private, "message")
	cmd := exec.CommandContext(t.Context(), shell[0], append(shell[1:len(shell):len(shell)], "-c", kube.CloneScript)...)
	cmd.Dir = work
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + private, "CLONE_DIR=" + private, "CLONE_MESSAGE=" + message,
		"CLONE_URL=" + s.URL, "CLONE_COMMIT=" + s.Commit, "CLONE_REF=" + s.Ref, "CLONE_USERNAME=" + s.Username,
	}
	log, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	words, err := os.ReadFile(message)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if bytes.Contains(words, []byte(token)) || bytes.Contains(log, []byte(token)) {
		t.Errorf("the token is told: %s; %s", words, log)
	}
	return checkout{dir: work, log: string(log), message: string(words), code: cmd.ProcessState.ExitCode()}
}

// credential and key are the files that a Source stands for.
func credential(password string) map[string][]byte {
	return map[string][]byte{"password": []byte(password)}
}

func key(f *forge) map[string][]byte {
	return map[string][]byte{"id_rsa": bytes.TrimSpace(f.ssh.PrivateKey()), "known_hosts": f.ssh.KnownHosts()}
}

func TestCloneScript(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	crlf := key(f)
	crlf["ssh-privatekey"] = bytes.ReplaceAll(crlf["id_rsa"], []byte("\n"), []byte("\r\n"))
	delete(crlf, "id_rsa")
	for _, shell := range shells {
		for name, c := range map[string]struct {
			source  runners.Source
			secrets map[string][]byte
			files   string
		}{
			"http head":               {f.overHTTP(f.head), credential(token), "head old"},
			"http older":              {f.overHTTP(f.old), credential(token), "old"},
			"http off every branch":   {f.overHTTP(f.gone), credential(token), "gone old"},
			"ssh off every branch":    {f.overSSH(f.gone), key(f), "gone old"},
			"ssh with Windows' lines": {f.overSSH(f.head), crlf, "head old"},
		} {
			t.Run(shell[0]+" "+name, func(t *testing.T) {
				t.Parallel()
				got := clone(t, shell, c.source, c.secrets)
				if got.code != 0 || got.message != "" {
					t.Fatalf("got exit code %d, message %q, log %s", got.code, got.message, got.log)
				}
				wantCheckout(t, got.dir, c.source.Commit, c.files)
			})
		}
	}
}

// wantCheckout checks that the commit and nothing else is there, and no credential.
func wantCheckout(t *testing.T, dir, commit, files string) {
	t.Helper()
	if got := git(t, dir, "rev-parse", "HEAD"); got != commit {
		t.Errorf("commit: got %s, want %s", got, commit)
	}
	if got := strings.ReplaceAll(git(t, dir, "ls-files"), "\n", " "); got != files {
		t.Errorf("files: got %q, want %q", got, files)
	}
	if got := git(t, dir, "status", "--short"); got != "" {
		t.Errorf("status: got %q, want a clean tree", got)
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if data, err := os.ReadFile(path); err != nil || bytes.Contains(data, []byte(token)) {
			t.Errorf("%s holds the token: %v", path, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestCloneAncient fetches a commit that the server gives out only with its branch.
func TestCloneAncient(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.ancient.Store(true)
	got := clone(t, shells[0], f.overHTTP(f.old), credential(token))
	if got.code != 0 {
		t.Fatalf("got exit code %d: %s", got.code, got.log)
	}
	wantCheckout(t, got.dir, f.old, "old")
	got = clone(t, shells[0], f.overHTTP(f.gone), credential(token))
	wantClone(t, got, 2, "the server has no such commit any more")
}

func TestCloneWeather(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.bad.Store(2)
	got := clone(t, shells[1], f.overHTTP(f.head), credential(token))
	if got.code != 0 || !strings.Contains(got.log, "error: 503: trying again in 1 s") && !strings.Contains(got.log, "error: 503 : trying again in 1 s") {
		t.Errorf("got exit code %d and log %s, want it to try again", got.code, got.log)
	}
	f.bad.Store(1 << 20)
	got = clone(t, shells[1], f.overHTTP(f.head), credential(token))
	wantClone(t, got, 1, "error: 503")
}

func wantClone(t *testing.T, got checkout, code int, words string) {
	t.Helper()
	if got.code != code || !strings.Contains(got.message, words) || strings.Contains(got.message, "\n") || !strings.Contains(got.log, got.message+"\n") {
		t.Errorf("got exit code %d and message %q, want %d and one line with %q that is in the log too; the log is %s",
			got.code, got.message, code, words, got.log)
	}
}

// TestCloneRefused tells each thing that somebody has to mend from the others, and asks the server once.
func TestCloneRefused(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	stranger, err := sshtest.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stranger.Close() })
	absent := strings.Repeat("0", 39) + "1"
	elsewhere, elsewhereSSH := f.overHTTP(f.head), f.overSSH(f.head)
	elsewhere.URL = strings.ReplaceAll(elsewhere.URL, "shop/", "nothing/")
	elsewhereSSH.URL = strings.ReplaceAll(elsewhereSSH.URL, "shop/", "nothing/")
	with := func(name string, data []byte) map[string][]byte {
		files := key(f)
		if files[name] = data; data == nil {
			delete(files, name)
		}
		return files
	}
	for name, c := range map[string]struct {
		source  runners.Source
		secrets map[string][]byte
		words   string
	}{
		"no such commit":          {f.overHTTP(absent), credential(token), "the server has no such commit any more"},
		"no such commit by ssh":   {f.overSSH(absent), key(f), "the server has no such commit any more"},
		"wrong token":             {f.overHTTP(f.head), credential("other"), "the server refuses the credential, or wants one: "},
		"no token":                {f.overHTTP(f.head), nil, "the server refuses the credential, or wants one: "},
		"no repository":           {elsewhere, credential(token), "there is no such repository for this credential: "},
		"no repository by ssh":    {elsewhereSSH, key(f), "there is no such repository for this credential: "},
		"unknown host":            {f.overSSH(f.head), with("known_hosts", []byte("other.example.com ssh-ed25519 AAAA\n")), "the key of the server is not the one in known_hosts"},
		"another host's key":      {f.overSSH(f.head), with("known_hosts", bytes.ReplaceAll(stranger.KnownHosts(), []byte(stranger.Addr[len("127.0.0.1:"):]), []byte(f.ssh.Addr[len("127.0.0.1:"):]))), "the key of the server is not the one in known_hosts"},
		"no known hosts":          {f.overSSH(f.head), with("known_hosts", nil), "the secret has no entry known_hosts"},
		"wrong key":               {f.overSSH(f.head), with("id_rsa", stranger.PrivateKey()), "the server refuses the credential"},
		"no key":                  {f.overSSH(f.head), with("id_rsa", nil), "the secret has no entry ssh-privatekey or id_rsa"},
		"half a key":              {f.overSSH(f.head), with("id_rsa", f.ssh.PrivateKey()[:100]), "the private key cannot be read"},
		"a commit that is a word": {runners.Source{URL: f.URL + "/shop/api.git", Commit: "--upload-pack=id"}, credential(token), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := clone(t, shells[0], c.source, c.secrets)
			if c.words != "" {
				wantClone(t, got, 2, c.words)
			}
			if got.code == 0 {
				t.Errorf("got exit code 0, want a failure")
			}
		})
	}
}

// TestCloneRedirect has the server send the clone away: the token must not follow.
func TestCloneRedirect(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.elsewhere.Store(true)
	wantClone(t, clone(t, shells[0], f.overHTTP(f.head), credential(token)), 2, "the server names another address, and that is not followed")
	if got := f.requests.Load(); got != 1 {
		t.Errorf("requests: got %d, want 1: asking again ends no better", got)
	}
}
