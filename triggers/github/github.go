// Package github is the forge GitHub, github.com and GitHub Enterprise Server alike: everything that we hear from it
// (signed webhook deliveries, as a triggers.Source) and say to it (commit statuses, as a report.Notifier), and where
// its repositories are fetched. The door, the planner and the reporter call it; it calls only GitHub's REST API, and
// only to tell. It keeps nothing, retries nothing and reads no repository.
package github

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	webhook "github.com/go-playground/webhooks/v6/github"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers"
)

// DefaultURL is the address of github.com's REST API.
const DefaultURL = "https://api.github.com"

// Config is what a GitHub is reached and believed by.
type Config struct {
	Name    string           // of the forge, the last part of its hooks' address
	URL     string           // of the REST API: DefaultURL if empty, https://HOST/api/v3 for an Enterprise Server
	Token   triggers.Secret  // reads contents, writes commit statuses; empty: public repositories, and nothing is told
	Secrets triggers.Secrets // of the hooks; none: the door is shut
	Client  *http.Client     // for the API; nil: one with a time limit
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

// Forge is one configured GitHub. It is safe for concurrent use.
type Forge struct {
	name    string
	api     *url.URL
	web     string // what people and git use, without a slash at the end
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
	if cfg.URL == "" {
		cfg.URL = DefaultURL
	}
	api, err := url.Parse(strings.TrimSuffix(cfg.URL, "/"))
	if err != nil {
		return nil, fmt.Errorf("configure forge %q: %w", cfg.Name, err)
	}
	parser, err := webhook.New() // Without a secret: Verify has done that.
	if err != nil {
		return nil, fmt.Errorf("configure forge %q: %w", cfg.Name, err)
	}
	return &Forge{cfg.Name, api, webURL(api), cfg.Token, cfg.Secrets, report.Client(cfg.Client), parser}, nil
}

// webURL is where the repositories of the GitHub with this API are: github.com for api.github.com, SUBDOMAIN.ghe.com
// for api.SUBDOMAIN.ghe.com, and the API's host without /api/v3 for an Enterprise Server.
func webURL(api *url.URL) string {
	web := url.URL{Scheme: api.Scheme, Host: api.Host, Path: strings.TrimSuffix(api.Path, "/api/v3")}
	if host, ok := strings.CutPrefix(api.Host, "api."); ok && (host == "github.com" || strings.HasSuffix(host, ".ghe.com")) {
		web.Host = host
	}
	return web.String()
}

// Access tells how repo is fetched: from the configured GitHub by its checked name, never from an address in a
// payload. The token goes as a password; GitHub takes any user name with it, and documents this one.
func (f *Forge) Access(repo triggers.Repository) (triggers.Access, error) {
	if err := checkName(repo.Name); err != nil {
		return triggers.Access{}, fmt.Errorf("address of a repository at %s: %w", f.name, err)
	}
	a := triggers.Access{URL: f.web + "/" + repo.Name + ".git"}
	if f.token != "" {
		a.Username, a.Password = "x-access-token", f.token
	}
	return a, nil
}

// checkName tells whether name is owner/name: GitHub has no deeper groups.
func checkName(name string) error {
	if strings.Count(name, "/") != 1 {
		return fmt.Errorf("repository name %.80q, want owner/name", name)
	}
	return triggers.CheckName(name)
}
