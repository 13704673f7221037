// Package gitlab is the forge GitLab, gitlab.com and self-managed ones alike: everything that we hear from it (signed
// webhook deliveries, as a triggers.Source) and say to it (commit statuses, as a report.Notifier), and where its
// repositories are fetched. The door, the planner and the reporter call it; it calls only GitLab's REST API, and only
// to tell. It keeps nothing, retries nothing and reads no repository.
package gitlab

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	webhook "github.com/go-playground/webhooks/v6/gitlab"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers"
)

// DefaultURL is the address of gitlab.com.
const DefaultURL = "https://gitlab.com"

// Config is what a GitLab is reached and believed by.
type Config struct {
	Name    string           // of the forge, the last part of its hooks' address
	URL     string           // DefaultURL if empty; https://HOST, with a path if it is served under one
	Token   triggers.Secret  // scope api; empty: public repositories, and nothing is told
	Secrets triggers.Secrets // of the hooks, secret tokens and signing tokens alike; none: the door is shut
	Client  *http.Client     // for the API; nil: one with a time limit
	Now     func() time.Time // tells how old a signed delivery is; nil: time.Now
}

// Validate reports everything that is wrong with c, at once.
func (c Config) Validate() error {
	var errs []error
	if c.Name == "" {
		errs = append(errs, errors.New("name is empty"))
	}
	if c.URL != "" {
		errs = append(errs, triggers.CheckURL(c.URL))
	}
	errs = append(errs, c.Secrets.Validate(doublestar.ValidatePattern))
	return errors.Join(errs...)
}

// Forge is one configured GitLab. It is safe for concurrent use.
type Forge struct {
	name    string
	web     *url.URL
	token   triggers.Secret
	secrets triggers.Secrets
	client  *http.Client
	now     func() time.Time
	parser  *webhook.Webhook
}

var (
	_ triggers.Source = (*Forge)(nil)
	_ report.Notifier = (*Forge)(nil)
)

// New returns the forge that cfg describes. It connects to nothing.
func New(cfg Config) (*Forge, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure forge %q: %w", cfg.Name, err)
	}
	if cfg.URL == "" {
		cfg.URL = DefaultURL
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	web, err := url.Parse(strings.TrimSuffix(cfg.URL, "/"))
	if err != nil {
		return nil, fmt.Errorf("configure forge %q: %w", cfg.Name, err)
	}
	parser, err := webhook.New() // Without a secret: Verify has done that.
	if err != nil {
		return nil, fmt.Errorf("configure forge %q: %w", cfg.Name, err)
	}
	return &Forge{cfg.Name, web, cfg.Token, cfg.Secrets, report.Client(cfg.Client), cfg.Now, parser}, nil
}

// Access tells how repo is fetched: from the configured GitLab by its checked name, never from an address in a payload.
// The token goes as a password; GitLab takes any user name with it, and documents this one.
func (f *Forge) Access(repo triggers.Repository) (triggers.Access, error) {
	if err := triggers.CheckName(repo.Name); err != nil {
		return triggers.Access{}, fmt.Errorf("address of a repository at %s: %w", f.name, err)
	}
	a := triggers.Access{URL: f.web.JoinPath(repo.Name + ".git").String()}
	if f.token != "" {
		a.Username, a.Password = "oauth2", f.token
	}
	return a, nil
}
