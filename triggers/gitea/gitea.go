// Package gitea is the forge Gitea, and Forgejo with it: everything that we hear from it (signed webhook deliveries, as
// a triggers.Source) and say to it (commit statuses, as a report.Notifier), and where its repositories are fetched. The
// door, the planner and the reporter call it; it calls only Gitea's API, and only to tell. It keeps nothing, retries
// nothing and reads no repository.
package gitea

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/bmatcuk/doublestar/v4"
	webhook "github.com/go-playground/webhooks/v6/gitea"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers"
)

// Config is what a Gitea is reached and believed by. URL is https://HOST, with a path if it is served under one. The
// token has the scope write:repository.
type Config = triggers.ForgeConfig

// Forge is one configured Gitea. It is safe for concurrent use.
type Forge struct {
	cfg    Config
	web    *url.URL
	client *http.Client
	parser *webhook.Webhook
}

var (
	_ triggers.Source = (*Forge)(nil)
	_ report.Notifier = (*Forge)(nil)
)

// New returns the forge that cfg describes, or everything that is wrong with cfg. It connects to nothing.
func New(cfg Config) (*Forge, error) {
	web, err := cfg.Address("", doublestar.ValidatePattern)
	if err != nil {
		return nil, err
	}
	parser, err := webhook.New() // Without a secret: Verify has done that.
	if err != nil {
		return nil, fmt.Errorf("configure forge %q: %w", cfg.Name, err)
	}
	return &Forge{cfg, web, report.Client(cfg.Client), parser}, nil
}

// Access tells how repo is fetched: from the configured Gitea by its checked name. Gitea looks a token up by itself and
// takes any user name with it.
func (f *Forge) Access(repo triggers.Repository) (triggers.Access, error) {
	if err := triggers.CheckFlatName(repo.Name); err != nil {
		return triggers.Access{}, fmt.Errorf("address of a repository at %s: %w", f.cfg.Name, err)
	}
	return f.cfg.Access(f.web, "millrace", repo.Name), nil
}
