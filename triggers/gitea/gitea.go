// Package gitea is the forge Gitea, and Forgejo with it: everything that we hear from it (signed webhook deliveries, as
// a triggers.Source) and say to it (commit statuses, as a report.Notifier), and where its repositories are fetched. The
// door, the planner and the reporter call it; it calls only Gitea's API, and only to tell. It keeps nothing, retries
// nothing and reads no repository.
package gitea

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	webhook "github.com/go-playground/webhooks/v6/gitea"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers"
)

// Config is what a Gitea is reached and believed by.
type Config struct {
	Name    string           // of the forge, the last part of its hooks' address
	URL     string           // https://HOST, with a path if it is served under one
	Token   triggers.Secret  // scope write:repository; empty: public repositories, and nothing is told
	Secrets triggers.Secrets // of the hooks; none: the door is shut
	Client  *http.Client     // for the API; nil: one with a time limit
}

// Validate reports everything that is wrong with c, at once.
func (c Config) Validate() error {
	var errs []error
	if c.Name == "" {
		errs = append(errs, errors.New("name is empty"))
	}
	errs = append(errs, triggers.CheckURL(c.URL), c.Secrets.Validate(doublestar.ValidatePattern))
	return errors.Join(errs...)
}

// Forge is one configured Gitea. It is safe for concurrent use.
type Forge struct {
	name    string
	web     *url.URL
	token   triggers.Secret
	secrets triggers.Secrets
	client  *http.Client
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
	web, err := url.Parse(strings.TrimSuffix(cfg.URL, "/"))
	if err != nil {
		return nil, fmt.Errorf("configure forge %q: %w", cfg.Name, err)
	}
	parser, err := webhook.New() // Without a secret: Verify has done that.
	if err != nil {
		return nil, fmt.Errorf("configure forge %q: %w", cfg.Name, err)
	}
	return &Forge{cfg.Name, web, cfg.Token, cfg.Secrets, report.Client(cfg.Client), parser}, nil
}

// Access tells how repo is fetched: from the configured Gitea by its checked name, never from an address in a payload.
// The token goes as a password; Gitea looks it up by itself and takes any user name with it.
func (f *Forge) Access(repo triggers.Repository) (triggers.Access, error) {
	if err := checkName(repo.Name); err != nil {
		return triggers.Access{}, fmt.Errorf("address of a repository at %s: %w", f.name, err)
	}
	a := triggers.Access{URL: f.web.JoinPath(repo.Name + ".git").String()}
	if f.token != "" {
		a.Username, a.Password = "millrace", f.token
	}
	return a, nil
}

// checkName tells whether name is owner/name: Gitea has no deeper groups.
func checkName(name string) error {
	if strings.Count(name, "/") != 1 {
		return fmt.Errorf("repository name %.80q, want owner/name", name)
	}
	return triggers.CheckName(name)
}
