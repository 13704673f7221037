// Package github is the forge GitHub, github.com and GitHub Enterprise Server alike: everything that we hear from it
// (signed webhook deliveries, as a triggers.Source, and on demand those that never arrived) and say to it (commit
// statuses or, as a GitHub App, check runs, as a report.Notifier), and where its repositories are fetched. The door, the planner and the reporter call
// it; it calls only GitHub's REST API, to tell and to ask for deliveries. It keeps nothing but a count of statuses, the ids of
// check runs and an app's tokens, retries nothing and reads no repository.
package github

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	webhook "github.com/go-playground/webhooks/v6/github"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers"
)

// DefaultURL is the address of github.com's REST API.
const DefaultURL = "https://api.github.com"

// Config is what a GitHub is reached and believed by. URL is that of the REST API: DefaultURL if empty,
// https://HOST/api/v3 for an Enterprise Server. The token reads contents and writes commit statuses.
type Config = triggers.ForgeConfig

// Forge is one configured GitHub. It is safe for concurrent use.
type Forge struct {
	cfg    Config
	api    *url.URL
	web    *url.URL // what people and git use
	client *http.Client
	parser *webhook.Webhook
	told   memory[int]     // how many statuses, by commit and context
	made   memory[[]int64] // ids of check runs, by what they are of
	app    *app            // nil: it tells by its token
}

var (
	_ triggers.Source = (*Forge)(nil)
	_ report.Notifier = (*Forge)(nil)
)

// New returns the forge that cfg describes, or everything that is wrong with cfg. It connects to nothing.
func New(cfg Config) (*Forge, error) {
	api, err := cfg.Address(DefaultURL, doublestar.ValidatePattern)
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
	return &Forge{cfg: cfg, api: api, web: webURL(api), client: report.Client(cfg.Client), parser: parser}, nil
}

// webURL is where the repositories of the GitHub with this API are: github.com for api.github.com, SUBDOMAIN.ghe.com
// for api.SUBDOMAIN.ghe.com, and the API's host without /api/v3 for an Enterprise Server.
func webURL(api *url.URL) *url.URL {
	web := url.URL{Scheme: api.Scheme, Host: api.Host, Path: strings.TrimSuffix(api.Path, "/api/v3")}
	if host, ok := strings.CutPrefix(api.Host, "api."); ok && (host == "github.com" || strings.HasSuffix(host, ".ghe.com")) {
		web.Host = host
	}
	return &web
}

// Access tells how repo is fetched: from the configured GitHub by its checked name. GitHub takes any user name with a
// token, and documents this one.
func (f *Forge) Access(repo triggers.Repository) (triggers.Access, error) {
	if err := triggers.CheckFlatName(repo.Name); err != nil {
		return triggers.Access{}, fmt.Errorf("address of a repository at %s: %w", f.cfg.Name, err)
	}
	return f.cfg.Access(f.web, "x-access-token", repo.Name), nil
}
