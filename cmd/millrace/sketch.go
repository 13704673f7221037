package main

import (
	"context"
	"log/slog"
	"maps"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/mask"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/triggers"
)

// sketcher says what a daemon of a configuration would make of an event, and asks nobody for it: no Redis, no forge, no
// cluster.
type sketcher struct {
	agent  *agent.Agent
	forges map[string]agent.Forge
	by     map[string]runners.Renderer // runners by name
}

// newSketcher reads the configuration as serve does. Its agent never runs.
func newSketcher(file string) (*sketcher, error) {
	c, err := loadConfig(file, nil)
	if err != nil {
		return nil, usage(err)
	}
	forges, _, err := buildForges(c)
	if err != nil {
		return nil, usage(err)
	}
	s := &sketcher{forges: forges, by: map[string]runners.Renderer{}}
	known := map[string]agent.Runner{}
	for _, r := range c.Runners {
		s.by[r.Name] = rendererKinds[r.Kind](c, r)
		known[r.Name] = agent.Runner{Kind: r.Kind, Line: r.Name}
	}
	mem := inProcess(leaseTime)
	s.agent, err = agent.New(agent.Config{
		Name: "explain", URL: c.Server.URL, Forges: forges, Runners: known, DefaultRunner: c.DefaultRunner,
		Catalogue: template.Builtin(platform(c)), Definitions: nothing{}, Secrets: secrets(c),
		Token:  func(string, string, int) string { return mask.Hidden },
		Queues: mem.queues, Inbox: mem.inbox, Runs: mem.runs, Plans: mem.plans, Logs: mem.logs,
		LeaseTime: leaseTime, StopGrace: stopGrace, Now: time.Now, Metrics: metrics.NewAgent(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
	})
	return s, err
}

// settle gives the event the configured forge that has its repository. A push of the working tree's HEAD is one of its
// remote `origin`. An event whose forge is not known has none: its tasks get no checkout.
func (s *sketcher) settle(ctx context.Context, dir string, e triggers.Event) triggers.Event {
	address := e.Repo.HTTPURL
	if e.Forge == "" {
		out, err := exec.CommandContext(ctx, "git", "-C", dir, "remote", "get-url", "origin").Output()
		if err != nil {
			return e // not a repository, or one that is nowhere else
		}
		address = strings.TrimSpace(string(out))
	}
	host, name := splitRemote(address)
	e.Forge = ""
	for _, forge := range slices.Sorted(maps.Keys(s.forges)) {
		repo := triggers.Repository{Name: strings.TrimSuffix(name, ".git")}
		access, err := s.forges[forge].Access.Access(repo)
		if err != nil {
			continue
		}
		if u, err := url.Parse(access.URL); err == nil && strings.EqualFold(u.Hostname(), host) {
			e.Forge = forge
			if e.Repo.HTTPURL == "" {
				e.Repo.Name, e.Repo.HTTPURL = repo.Name, access.URL
			}
			return e
		}
	}
	return e
}

// splitRemote takes the address of a remote apart, as git writes it (git-fetch(1)): a URL, or [USER@]HOST:PATH.
func splitRemote(address string) (host, path string) {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Hostname(), strings.Trim(u.Path, "/")
	}
	host, path, _ = strings.Cut(address, ":")
	if _, after, ok := strings.Cut(host, "@"); ok {
		host = after
	}
	return host, strings.Trim(path, "/")
}

// draw fills in what each task becomes, or why it becomes nothing.
func (s *sketcher) draw(plan *run.Snapshot, tasks []explainedTask) {
	for i := range tasks {
		manifest, err := s.agent.Sketch(plan, tasks[i].Name, s.by[tasks[i].Runner])
		if err != nil {
			tasks[i].Refused = err.Error()
		}
		tasks[i].Manifest = string(manifest)
	}
}
