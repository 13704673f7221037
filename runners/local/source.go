package local

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-ci/millrace/runners"
)

const (
	checkoutTimeout = 30 * time.Minute
	fetchTries      = 3
)

// checkout brings the commit to the working directory. Its error is one line for people and holds no credentials.
func (k *keeper) checkout(ctx context.Context, source runners.Source) error {
	ctx, cancel := context.WithTimeout(ctx, checkoutTimeout)
	defer cancel()
	k.log.printf(sourceName, "checking out %s of %s", source.Commit, source.URL)
	git := git{dir: k.folder.path(workDir), secret: k.given.credentials}
	err := git.run(ctx, "init", "--quiet", "--template=")
	for try := 1; err == nil; try++ {
		if err = git.fetch(ctx, source); err == nil || try == fetchTries || ctx.Err() != nil {
			break
		}
		pause := time.Duration(try) * time.Second
		k.log.printf(sourceName, "%v: trying again in %s", err, pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			err = nil
		}
	}
	if err == nil {
		err = git.run(ctx, "checkout", "--quiet", "--detach", source.Commit)
	}
	if err != nil {
		return fmt.Errorf("cannot check out %.12s: %w", source.Commit, err)
	}
	return nil
}

// git runs git in dir, closed against what a repository, a server or this machine could make it do.
type git struct {
	dir    string
	secret credentials
}

// fetch brings the commit, alone where the server gives out bare commits, else with the history of its ref.
func (g git) fetch(ctx context.Context, source runners.Source) error {
	err := g.run(ctx, "fetch", "--quiet", "--no-tags", "--depth=1", "--", source.URL, source.Commit)
	if err == nil || source.Ref == "" || ctx.Err() != nil {
		return err
	}
	if g.run(ctx, "fetch", "--quiet", "--no-tags", "--", source.URL, source.Ref) != nil {
		return err
	}
	if g.run(ctx, "cat-file", "-e", source.Commit+"^{commit}") != nil {
		return fmt.Errorf("the commit is not in %s any more", source.Ref)
	}
	return nil
}

// run runs one git command; its error is what git said last.
func (g git) run(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	var said tailBuffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = g.dir, g.env(), &said, &said
	cmd.SysProcAttr = inGroup(0)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("git is not installed on this machine")
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if text := g.words(said); text != "" {
		return errors.New(text)
	}
	return fmt.Errorf("git %s: %w", args[0], err)
}

// env is git's whole environment. The credentials are in it, and so neither in an argv nor in .git/config; with
// redirects refused they go to the host that they are for and to no other.
func (g git) env() []string {
	config := [][2]string{
		{"http.followRedirects", "false"},
		{"http.lowSpeedLimit", "1000"}, // A server that says less for a minute has gone.
		{"http.lowSpeedTime", "60"},
		{"credential.helper", ""},
		{"core.hooksPath", "/dev/null"},
		{"core.fsmonitor", "false"},
		{"fetch.recurseSubmodules", "false"},
		{"submodule.recurse", "false"},
		{"gc.auto", "0"},
		{"maintenance.auto", "false"},
		{"init.defaultBranch", "main"},
	}
	if g.secret.Password != "" {
		config = append(config, [2]string{"http.extraHeader", "Authorization: Basic " + g.basic()})
	}
	env := []string{
		"LANG=C", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=true", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1", "GIT_ALLOW_PROTOCOL=http:https:ssh",
		"GIT_SSH_COMMAND=ssh -o BatchMode=yes -o ConnectTimeout=20", "GIT_SSH_VARIANT=ssh",
		fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(config)),
	}
	for i, pair := range config {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, pair[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, pair[1]))
	}
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func (g git) basic() string {
	return base64.StdEncoding.EncodeToString([]byte(g.secret.Username + ":" + g.secret.Password))
}

// words is the last of what git said, as one line without credentials.
func (g git) words(said tailBuffer) string {
	var last []string
	for line := range strings.Lines(strings.ToValidUTF8(string(said), "?")) {
		line = strings.Map(func(r rune) rune {
			if r < ' ' {
				return -1
			}
			return r
		}, line)
		if line = strings.TrimSpace(line); line != "" {
			last = append(last, line)
		}
	}
	text := strings.Join(last[max(0, len(last)-3):], "; ")
	if password := g.secret.Password; password != "" {
		text = strings.NewReplacer(g.basic(), "***", password, "***", url.QueryEscape(password), "***").Replace(text)
	}
	return text[:wholeRunes([]byte(text), 400)]
}

// tailBuffer keeps the last 8 KiB that are written to it.
type tailBuffer []byte

// Write never fails.
func (t *tailBuffer) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	if over := len(*t) - 8<<10; over > 0 {
		*t = append((*t)[:0], (*t)[over:]...)
	}
	return len(p), nil
}
