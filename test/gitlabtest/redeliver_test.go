package gitlabtest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/test/forgekit"
	"github.com/millrace-ci/millrace/test/gitlabtest"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/gitlab"
	"github.com/millrace-ci/millrace/triggers/triggertest"
)

// bare starts a server with an empty project and no hook, and clones the project.
func bare(t *testing.T) (*gitlabtest.Server, *forgekit.Worktree) {
	t.Helper()
	s, err := gitlabtest.Start(gitlabtest.Config{Dir: filepath.Join(t.TempDir(), "gitlab"), Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.CreateProject(name); err != nil {
		t.Fatal(err)
	}
	w, err := forgekit.Clone(t.Context(), s.CloneURL(name), "main")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return s, w
}

func TestRedeliver(t *testing.T) {
	t.Parallel()
	triggertest.RunRedeliver(t, func(t *testing.T) triggertest.Forge {
		s, w := bare(t)
		return triggertest.Forge{
			Repo: name, KeyHeader: "Idempotency-Key",
			New: func(name string, token triggers.Secret) (triggertest.Redeliverer, error) {
				return gitlab.New(gitlab.Config{Name: name, URL: s.URL, Token: token})
			},
			AddHook: func(url string) { s.AddHook(gitlabtest.Hook{URL: url, Token: secret, SigningToken: signing}) },
			Push:    func() { commit(t, w, "one more", nil, "HEAD:main") },
			Await:   func(n int) { await(t, s, n) },
		}
	})
}

// TestRedeliverInPieces misses more than GitLab lists on one page and sends again in a minute.
func TestRedeliverInPieces(t *testing.T) {
	t.Parallel()
	s, w := bare(t)
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer down.Close()
	s.AddHook(gitlabtest.Hook{URL: down.URL + "/hooks/gitlab", Token: secret})
	if _, err := w.Commit(t.Context(), "one", nil); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		var refs []string
		for j := range 3 { // Of more at once GitLab tells none.
			refs = append(refs, fmt.Sprintf("HEAD:refs/heads/b%d", 3*i+j))
		}
		push(t, w, refs...)
	}
	sent := await(t, s, 24)
	asked, err := forge(t, s, secret).Redeliver(t.Context(), name, time.Time{})
	if asked != 5 || report.IsPermanent(err) || report.Wait(err) < 30*time.Second {
		t.Errorf("got %d, %v (wait %v), want 5 and a wait", asked, err, report.Wait(err))
	}
	for i, d := range await(t, s, 29)[24:] {
		if !d.Again || d.UUID != sent[i].UUID {
			t.Errorf("asked for %s, want %s, the oldest first", d.UUID, sent[i].UUID)
		}
	}
}
