package triggertest

import (
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/triggers"
)

// Accessor is what says how a forge's repositories are fetched.
type Accessor interface {
	Access(repo triggers.Repository) (triggers.Access, error)
}

// ConfigKit is a forge to configure.
type ConfigKit struct {
	New   func(cfg triggers.ForgeConfig) (Accessor, error)
	Repo  string            // a repository's name
	User  string            // whose password the token is
	Clone map[string]string // where Repo is fetched, by the forge's configured URL
}

// RunConfig tries the laws about how a forge is configured.
func RunConfig(t *testing.T, kit ConfigKit) {
	t.Run("all that is wrong is said at once", kit.wrong)
	t.Run("repositories are fetched from the configured forge", kit.fetched)
}

func (kit ConfigKit) wrong(t *testing.T) {
	_, err := kit.New(triggers.ForgeConfig{URL: "ssh://x", Secrets: triggers.Secrets{{}, {Value: "hush", Repositories: []string{"[a"}}}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"name", "url", "webhook_secrets[0]", "webhook_secrets[1]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want all at once, and %s among them", err, want)
		}
	}
	_, byDefault := kit.Clone[""]
	if _, err := kit.New(triggers.ForgeConfig{Name: "forge"}); (err == nil) != byDefault {
		t.Errorf("no url: got %v, want it to be there by default: %v", err, byDefault)
	}
	if _, err := kit.New(triggers.ForgeConfig{Name: "forge", URL: "https://u:hush@host"}); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("a password in the url: got %v", err)
	}
}

func (kit ConfigKit) fetched(t *testing.T) {
	for base, want := range kit.Clone {
		for _, access := range []triggers.Access{{URL: want, Username: kit.User, Password: "hush"}, {URL: want}} {
			f, err := kit.New(triggers.ForgeConfig{Name: "forge", URL: base, Token: access.Password})
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.Access(triggers.Repository{Name: kit.Repo, HTTPURL: "https://evil.example.com/x.git"})
			if err != nil || got != access {
				t.Errorf("%s: got %+v, %v, want %+v", base, got, err, access)
			}
			if got, err := f.Access(triggers.Repository{Name: "../x"}); err == nil {
				t.Errorf("../x: got %+v", got)
			}
		}
	}
}
