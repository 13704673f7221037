package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/runners/local"
)

// keeperCommand is the hidden command that keeps one job of a local runner.
const keeperCommand = "_job"

// buildRunners makes the configured runners. A local one's line bears the data folder's id, so that no other host
// leases what can only be joined here.
func buildRunners(c *Config, data *dataFolder, log *slog.Logger) (map[string]agent.Runner, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	all := map[string]agent.Runner{}
	for _, r := range c.Runners {
		made, err := local.New(local.Config{
			Dir: filepath.Join(c.Data, "jobs", r.Name), Command: []string{self, keeperCommand}, Log: log,
		})
		if err != nil {
			return nil, fmt.Errorf("runners: %s: %w", r.Name, err)
		}
		all[r.Name] = agent.Runner{Kind: r.Kind, Line: r.Name + "-" + data.id, Capacity: r.Capacity, Runner: made}
	}
	return all, nil
}
