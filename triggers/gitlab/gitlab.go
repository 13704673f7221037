// Package gitlab is the forge GitLab, gitlab.com and self-managed ones alike: everything that we hear from it (signed
// webhook deliveries, as a triggers.Source, and on demand those that never arrived) and say to it (commit statuses, as a
// report.Notifier), and where its repositories are fetched. The door, the planner and the reporter call it; it calls
// only GitLab's REST API, to tell and to ask for deliveries. It keeps nothing, retries nothing and reads no repository.
package gitlab

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	webhook "github.com/go-playground/webhooks/v6/gitlab"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers"
)

// DefaultURL is the address of gitlab.com.
const DefaultURL = "https://gitlab.com"

// Config is what a GitLab is reached and believed by. URL is DefaultURL if empty, else https://HOST, with a path if it is
// served under one. The token has the scope api. Secrets are secret tokens and signing tokens alike.
type Config = triggers.ForgeConfig

// Forge is one configured GitLab. It is safe for concurrent use.
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
	web, err := cfg.Address(DefaultURL, doublestar.ValidatePattern)
	if err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	parser, err := webhook.New() // Without a secret: Verify has done that.
	if err != nil {
		return nil, fmt.Errorf("configure forge %q: %w", cfg.Name, err)
	}
	return &Forge{cfg, web, report.Client(cfg.Client), parser}, nil
}

// Access tells how repo is fetched: from the configured GitLab by its checked name. GitLab takes any user name with a
// token, and documents this one.
func (f *Forge) Access(repo triggers.Repository) (triggers.Access, error) {
	if err := triggers.CheckName(repo.Name); err != nil {
		return triggers.Access{}, fmt.Errorf("address of a repository at %s: %w", f.cfg.Name, err)
	}
	return f.cfg.Access(f.web, "oauth2", repo.Name), nil
}
