package main

import (
	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/cmd/millrace/config"
	"github.com/millrace-ci/millrace/runners"
)

// secrets is the operator's secrets by name.
func secrets(c *config.Config) map[string]agent.Secret {
	all := map[string]agent.Secret{}
	for _, s := range c.Secrets {
		all[s.Name] = agent.Secret{
			From:   runners.Keeper{Kubernetes: s.Kubernetes, File: s.File, Env: s.Environment},
			Policy: run.SecretPolicy{Repositories: s.Repositories, Events: s.Events, Refs: s.Refs, Templates: s.Templates},
		}
	}
	return all
}
