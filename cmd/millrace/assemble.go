package main

import (
	"context"
	"net/http"
	"time"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/cmd/millrace/config"
	"github.com/millrace-ci/millrace/triggers/door"
	"github.com/millrace-ci/millrace/triggers/repo"
)

// parts are what runs.
type parts struct {
	entry   entry
	door    *door.Door
	agent   *agent.Agent
	redis   connection
	watch   func(context.Context) error // of the runners' clusters
	ready   readiness
	handler http.Handler
}

// assemble builds the parts of the daemon. The caller closes the entry.
func assemble(c *config.Config, data *dataFolder, conn connection, o options) (parts, error) {
	nums, p := newNumbers(c), parts{redis: conn}
	mem, err := memoryIn(conn.rdb, c, o.lease, nums.queue, o.log)
	if err != nil {
		return p, err
	}
	forges, sources, err := buildForges(c)
	if err != nil {
		return p, usage(err)
	}
	secret, err := serverSecret(c.Server.SecretFile, data)
	if err != nil {
		return p, err
	}
	token := taskTokens(secret)
	runners, watch, err := buildRunners(c, data, instanceID(secret), o.log)
	if err != nil {
		return p, err
	}
	cfg := agentConfig(c, mem, nums, o)
	cfg.Forges, cfg.Runners, cfg.Token, p.watch = forges, runners, token, watch
	if p.agent, err = agent.New(cfg); err != nil {
		return p, err
	}
	if p.entry, err = openEntry(c, mem.inbox, conn.rdb, nums.spool, o.log); err != nil {
		return p, err
	}
	mem.inbox, p.ready = p.entry, p.entry.ready
	p.door, err = door.New(door.Config{
		Forges: sources, Inbox: mem.inbox, Plan: p.agent.PushDeliveries, URL: c.Server.URL, Metrics: nums.door, Log: o.log,
	})
	p.handler = routes(c, p.door, p.agent, token, mem, nums, p.ready, o.log)
	return p, err
}

// agentConfig is what the agent is made of, but for what has to be built first.
func agentConfig(c *config.Config, mem memory, nums numbers, o options) agent.Config {
	git := repo.New(repo.Config{Log: o.log})
	return agent.Config{
		Name: agentName(), URL: c.Server.URL, Roles: agentRoles(c),
		DefaultRunner: c.DefaultRunner, Catalogue: template.Builtin(platform(c)), Definitions: git, Heads: git, Secrets: secrets(c), Known: o.known,
		Queues: mem.queues, Inbox: mem.inbox, Runs: mem.runs, Plans: mem.plans, Refs: mem.refs, Logs: mem.logs,
		LeaseTime: o.lease, GapsEvery: c.Gaps.Every, StopGrace: stopGrace,
		KeepFor: c.Retention.Deliveries, KeepBytes: int64(c.Retention.DeliveriesBytes), KeepRuns: c.Retention.Runs, RunsBytes: int64(c.Retention.RunsBytes),
		Now: o.now, Metrics: nums.agent, Log: o.log,
	}
}

// stopGrace is what a task gets between being asked to end and being ended.
const stopGrace = 10 * time.Second
