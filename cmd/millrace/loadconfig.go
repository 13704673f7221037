package main

import "github.com/millrace-ci/millrace/cmd/millrace/config"

// loadConfig loads the configuration, and asks the parts that are built of it what they think of it.
func loadConfig(file string, flags map[string]any) (*config.Config, error) {
	return config.Load(file, flags, checkRedis, checkLogs, checkForges)
}
