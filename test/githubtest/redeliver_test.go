package githubtest_test

import (
	"path/filepath"
	"testing"

	"github.com/millrace-ci/millrace/test/forgekit"
	"github.com/millrace-ci/millrace/test/githubtest"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/github"
	"github.com/millrace-ci/millrace/triggers/triggertest"
)

func TestRedeliver(t *testing.T) {
	t.Parallel()
	triggertest.RunRedeliver(t, func(t *testing.T) triggertest.Forge {
		s, err := githubtest.Start(githubtest.Config{Dir: filepath.Join(t.TempDir(), "github"), Token: token})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		if err := s.CreateRepo("shop", "api"); err != nil {
			t.Fatal(err)
		}
		w, err := forgekit.Clone(t.Context(), s.CloneURL("shop", "api"), "main")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
		return triggertest.Forge{
			Repo: "shop/api", KeyHeader: "X-GitHub-Delivery", Greets: 1,
			New: func(name string, token triggers.Secret) (triggertest.Redeliverer, error) {
				return github.New(github.Config{Name: name, URL: s.API(), Token: token})
			},
			AddHook: func(url string) { s.AddHook("shop", "api", githubtest.Hook{URL: url, Secret: secret}) },
			Push:    func() { commit(t, w, "one more", nil, "HEAD:main") },
			Await:   func(n int) { await(t, s, n-1) },
		}
	})
}
