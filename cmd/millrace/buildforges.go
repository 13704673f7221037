package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/cmd/millrace/config"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/gitea"
	"github.com/millrace-ci/millrace/triggers/github"
	"github.com/millrace-ci/millrace/triggers/gitlab"
)

// forge is a value that is heard from and spoken to.
type forge interface {
	triggers.Source
	agent.Access
	report.Notifier
}

// forgeKinds is the table of forges: to add one, add its line.
var forgeKinds = map[string]func(config.Forge) (forge, error){
	"github": func(f config.Forge) (forge, error) {
		cfg := github.Config{Name: f.Name, URL: f.URL, Token: f.Token, Secrets: webhookSecrets(f)}
		if f.App.ID == 0 {
			return github.New(cfg)
		}
		return github.NewApp(cfg, github.App{ID: strconv.Itoa(f.App.ID), Key: f.App.PrivateKey, Installation: int64(f.App.Installation)})
	},
	"gitlab": func(f config.Forge) (forge, error) {
		return gitlab.New(gitlab.Config{Name: f.Name, URL: f.URL, Token: f.Token, Secrets: webhookSecrets(f)})
	},
	"gitea": func(f config.Forge) (forge, error) {
		return gitea.New(gitea.Config{Name: f.Name, URL: f.URL, Token: f.Token, Secrets: webhookSecrets(f)})
	},
}

// buildForges makes the configured forges, and reports all that is wrong with them at once.
func buildForges(c *config.Config) (map[string]agent.Forge, map[string]triggers.Source, error) {
	forges, sources := map[string]agent.Forge{}, map[string]triggers.Source{}
	var errs []error
	for i, f := range c.Forges {
		build, ok := forgeKinds[f.Kind]
		if !ok {
			errs = append(errs, fmt.Errorf("forges[%d].kind: %q is not known, say %s", i, f.Kind, kindsOfForge()))
			continue
		}
		made, err := build(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("forges[%d]: %w", i, err))
			continue
		}
		forges[f.Name] = agent.Forge{Source: made, Access: made, Status: made, SSH: strings.TrimRight(f.SSHURL, "/"), Repositories: f.Repositories, Poll: f.Poll}
		sources[f.Name] = made
	}
	return forges, sources, errors.Join(errs...)
}

// checkForges reports what is wrong with the configured forges.
func checkForges(c *config.Config) error {
	_, _, err := buildForges(c)
	return err
}

// kindsOfForge names the kinds that there are: "gitea, github or gitlab".
func kindsOfForge() string {
	kinds := slices.Sorted(maps.Keys(forgeKinds))
	last := len(kinds) - 1
	return strings.Join(kinds[:last], ", ") + " or " + kinds[last]
}

func webhookSecrets(f config.Forge) triggers.Secrets {
	var all triggers.Secrets
	for _, s := range f.WebhookSecrets {
		all = append(all, triggers.WebhookSecret{Value: s.Secret, Repositories: s.Repositories, PerRepository: s.PerRepository})
	}
	return all
}
