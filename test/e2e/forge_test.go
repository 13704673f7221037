//go:build lab

package e2e_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/internal/sshtest"
	"github.com/millrace-ci/millrace/test/forgekit"
	"github.com/millrace-ci/millrace/test/giteatest"
	"github.com/millrace-ci/millrace/test/gitlabtest"
)

const (
	token  = "a token of the forge"
	secret = "a secret of the hook"
	owner  = "shop"
)

// told is a commit status, in one word for all forges: pending, success or failure.
type told struct{ name, state, text, link string }

// forge is a host of repositories as the tests use it.
type forge struct {
	kind, url string
	ssh       *sshtest.Server // nil: it has none
	create    func(name string) error
	hook      func(address string)
	clone     func(name string) string // the address
	statuses  func(name, commit string) []told
	wait      func(ctx context.Context, until func() bool) error
	refused   func() []forgekit.Delivery // deliveries that were not answered 202
}

// newGitea starts one, with or without ssh.
func newGitea(t testing.TB, ssh bool) *forge {
	t.Helper()
	f, dir := newForge(t, "gitea", ssh)
	server, err := giteatest.Start(giteatest.Config{Dir: dir, Token: token, SSH: f.sshURL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	f.url, f.wait = server.URL, server.Wait
	f.create = func(name string) error { return server.CreateRepo(owner, name) }
	f.hook = func(address string) { server.AddHook("http://"+address+"/hooks/gitea", secret) }
	f.clone = func(name string) string { return server.CloneURL(owner, name) }
	f.refused = func() []forgekit.Delivery { return refused(server.Deliveries()) }
	f.statuses = func(name, commit string) (all []told) {
		for _, s := range server.Statuses(owner, name, commit) {
			all = append(all, told{s.Context, s.State, s.Description, s.TargetURL})
		}
		return all
	}
	return f
}

// newGitlab starts one, with or without ssh.
func newGitlab(t testing.TB, ssh bool) *forge {
	t.Helper()
	f, dir := newForge(t, "gitlab", ssh)
	server, err := gitlabtest.Start(gitlabtest.Config{Dir: dir, Token: token, SSH: f.sshURL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	f.url, f.wait = server.URL, server.Wait
	f.create = func(name string) error { _, err := server.CreateProject(owner + "/" + name); return err }
	f.hook = func(address string) {
		server.AddHook(gitlabtest.Hook{URL: "http://" + address + "/hooks/gitlab", Token: secret})
	}
	f.clone = func(name string) string { return server.CloneURL(owner + "/" + name) }
	f.refused = func() []forgekit.Delivery { return refused(server.Deliveries()) }
	f.statuses = func(name, commit string) (all []told) {
		words := map[string]string{"failed": "failure", "running": "pending"}
		for _, s := range server.Statuses(owner+"/"+name, commit) {
			one := told{name: s.Name, state: s.State}
			if word, ok := words[s.State]; ok {
				one.state = word
			}
			if s.Description != nil && s.TargetURL != nil {
				one.text, one.link = *s.Description, *s.TargetURL
			}
			all = append(all, one)
		}
		return all
	}
	return f
}

func newForge(t testing.TB, kind string, ssh bool) (*forge, string) {
	t.Helper()
	f, dir := &forge{kind: kind}, filepath.Join(t.TempDir(), kind)
	if !ssh {
		return f, dir
	}
	server, err := sshtest.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	f.ssh = server
	return f, dir
}

// sshURL is ssh://git@HOST:PORT, "" without ssh.
func (f *forge) sshURL() string {
	if f.ssh == nil {
		return ""
	}
	return f.ssh.URL("")
}

// refused are deliveries that the daemon did not take. Those sent while no daemon is there are sent again by people.
func refused(sent []forgekit.Delivery) (all []forgekit.Delivery) {
	for _, d := range sent {
		if d.Status != 202 {
			all = append(all, d)
		}
	}
	return all
}

// push commits files on top of main of a repository, pushes, and returns the commit.
func (f *forge) push(t testing.TB, name, message string, files map[string]string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w, err := forgekit.Clone(ctx, f.clone(name), "main")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	commit, err := w.Commit(ctx, message, files)
	if err == nil {
		err = w.Push(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	return commit
}

// newest is the newest status of each name, by name.
func (f *forge) newest(name, commit string) map[string]told {
	all := map[string]told{}
	for _, s := range f.statuses(name, commit) { // newest first
		if _, ok := all[s.name]; !ok {
			all[s.name] = s
		}
	}
	return all
}

// verdict waits until the commit's status millrace/PIPELINE is final, and returns it.
func (f *forge) verdict(t testing.TB, name, commit, pipeline string, limit time.Duration) told {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("no final status after %v", limit))
	defer cancel()
	var s told
	if err := f.wait(ctx, func() bool {
		s = f.newest(name, commit)["millrace/"+pipeline]
		return s.state == "success" || s.state == "failure" || s.state == "error"
	}); err != nil {
		t.Fatalf("%s of %s: %v; statuses: %+v; deliveries that were not taken: %d", pipeline, commit, err, f.statuses(name, commit), len(f.refused()))
	}
	return s
}
