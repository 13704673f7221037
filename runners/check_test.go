package runners_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/runners"
)

func job() runners.Job {
	return runners.Job{
		ID:      runners.JobID("abcdefghij234567abcd", 1, "unit"),
		Image:   "registry.example.com:5000/go/go_1:1.26@sha256:" + strings.Repeat("0", 64),
		Command: []string{"make", ""},
		Source: runners.Source{
			URL: "https://git.example.com/shop/api.git", Username: "x", Password: "p",
			Ref: `refs/heads/zzz";echo${IFS}"hello";#`, Commit: strings.Repeat("0a", 20),
		},
	}
}

func TestCheckTakes(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*runners.Job){
		"a whole job":         func(*runners.Job) {},
		"no source, no image": func(j *runners.Job) { j.Source, j.Image = runners.Source{}, "" },
		"no ref":              func(j *runners.Job) { j.Source.Ref = "" },
		"a SHA-256 commit":    func(j *runners.Job) { j.Source.Commit = strings.Repeat("0a", 32) },
		"ssh with a user":     func(j *runners.Job) { j.Source.URL = "ssh://git@git.example.com:22/a.git" },
		"a Chinese branch":    func(j *runners.Job) { j.Source.Ref = "refs/heads/发布/-1" },
		"a request":           func(j *runners.Job) { j.Source.Ref = "refs/merge-requests/7/head" },
		"the longest id":      func(j *runners.Job) { j.ID = strings.Repeat("a", 63) },
	} {
		j := job()
		change(&j)
		if err := j.Check(); err != nil {
			t.Errorf("%s: got error %v, want none", what, err)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	changes := map[string]func(*runners.Job){
		"no argv[0]":    func(j *runners.Job) { j.Command = []string{""} },
		"NUL in argv":   func(j *runners.Job) { j.Command = []string{"a\x00"} },
		"NUL in env":    func(j *runners.Job) { j.Env = map[string]string{"A": "\x00"} },
		"large env":     func(j *runners.Job) { j.Env = map[string]string{"A": strings.Repeat("a", runners.MaxCommand)} },
		"short commit":  func(j *runners.Job) { j.Source.Commit = "0a0a0a0" },
		"no commit":     func(j *runners.Job) { j.Source.Commit = "" },
		"user in https": func(j *runners.Job) { j.Source.URL = "https://u@h/x" },
		"user option":   func(j *runners.Job) { j.Source.URL = "ssh://-u@h/x" },
		"header in password": func(j *runners.Job) {
			j.Source.Password = "x\r\nHost: other"
		},
		"colon in user": func(j *runners.Job) { j.Source.Username = "a:b" },
	}
	for _, url := range []string{"git://h/x", "/etc", "../x", "git@h:x", "https:///x", "ext::sh", "HTTP://[::1", "https://h/\n", "-u"} {
		changes["url "+url] = func(j *runners.Job) { j.Source.URL = url }
	}
	for _, ref := range []string{"main", "refs/", "refs//x", "refs/a b", "refs/a..b", "refs/.a", "refs/a.lock", "refs/a@{1}", "refs/a\x01", "refs/a:b", "+refs/a", "refs/a."} {
		changes["ref "+ref] = func(j *runners.Job) { j.Source.Ref = ref }
	}
	for _, image := range []string{"-v/:/x", "a b", "a\nb", "$(id)", "/x"} {
		changes["image "+image] = func(j *runners.Job) { j.Image = image }
	}
	for _, id := range []string{"", "a.b", "A", "-a", "a-", "a/b", ".", "..", "a\n", strings.Repeat("a", 64), strings.Repeat("a", 253)} {
		changes["id "+id] = func(j *runners.Job) { j.ID = id }
	}
	for what, change := range changes {
		j := job()
		change(&j)
		if err := j.Check(); !errors.Is(err, runners.ErrRefused) {
			t.Errorf("%s: got error %v, want %v", what, err, runners.ErrRefused)
		}
	}
}

func TestCheckEnv(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"A", "_", "GIT_REPO", "GIT_BRANCH", "GIT_COMMIT_ID", "GIT_MR_NUMBER", "HOME", "CI", "TRACEPARENT", "PATH_TO_X", strings.Repeat("a", 128)} {
		if err := runners.CheckEnv(name); err != nil {
			t.Errorf("%s: got error %v, want none", name, err)
		}
	}
	for _, name := range []string{
		"", "1A", "A-B", "A=B", "A\n", "é", "PATH", "LD_PRELOAD", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "BASH_ENV", "ENV", "IFS", "SHELLOPTS",
		"BASH_FUNC_ls", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_EXEC_PATH", "GIT_CONFIG", "GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_DIR", "GIT_PROXY_COMMAND", strings.Repeat("a", 129),
	} {
		if err := runners.CheckEnv(name); err == nil {
			t.Errorf("%q: got no error, want one", name)
		}
	}
}
