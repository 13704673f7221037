package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/triggers"
)

// Config is millrace.yaml. Every key is optional. The order of precedence, low to high: the defaults, the file, the
// environment (MILLRACE_SERVER_LISTEN), flags.
type Config struct {
	Server        ServerConfig    `mapstructure:"server"`
	Redis         RedisConfig     `mapstructure:"redis"`
	Data          string          `mapstructure:"data"`           // folder of this agent; default ./data
	Roles         []string        `mapstructure:"roles"`          // hook, plan, work, report, web; default all
	Forges        []ForgeConfig   `mapstructure:"forges"`         // default none
	Runners       []RunnerConfig  `mapstructure:"runners"`        // default one, local
	DefaultRunner string          `mapstructure:"default_runner"` // default the only one
	Retention     RetentionConfig `mapstructure:"retention"`
	ShutdownGrace time.Duration   `mapstructure:"shutdown_grace"` // for what is being done at a SIGTERM; default 30s
}

// ServerConfig is where people and forges reach Millrace.
type ServerConfig struct {
	Listen string `mapstructure:"listen"` // host:port; default 127.0.0.1:8080
	URL    string `mapstructure:"url"`    // as people and forges write it; default http:// and Listen
}

// RedisConfig is where the state is.
type RedisConfig struct {
	URL string `mapstructure:"url"` // redis://, rediss:// or unix://; default "": a redis-server of its own, in Data
}

// ForgeConfig is one Git host.
type ForgeConfig struct {
	Name           string          `mapstructure:"name"` // the hook's path: /hooks/NAME
	Kind           string          `mapstructure:"kind"` // github or gitea
	URL            string          `mapstructure:"url"`  // of its API: https://api.github.com, https://gitea.example.com
	Token          triggers.Secret `mapstructure:"token"`
	TokenFile      string          `mapstructure:"token_file"`
	Repositories   []string        `mapstructure:"repositories"` // globs over owner/name; default all
	WebhookSecrets []WebhookSecret `mapstructure:"webhook_secrets"`
}

// WebhookSecret signs deliveries. In the file it may be a plain string.
type WebhookSecret struct {
	Secret        triggers.Secret `mapstructure:"secret"`
	SecretFile    string          `mapstructure:"secret_file"`
	Repositories  []string        `mapstructure:"repositories"`   // globs of those it may speak for; default all
	PerRepository bool            `mapstructure:"per_repository"` // a master: each repository's secret is derived from it
}

// RunnerConfig is where tasks run.
type RunnerConfig struct {
	Name     string `mapstructure:"name"`
	Kind     string `mapstructure:"kind"`     // local
	Capacity int    `mapstructure:"capacity"` // tasks at once; default the number of cores
}

// RetentionConfig says how long things are kept.
type RetentionConfig struct {
	Deliveries      time.Duration `mapstructure:"deliveries"`       // default 168h
	DeliveriesBytes Bytes         `mapstructure:"deliveries_bytes"` // default 512MiB
	Runs            time.Duration `mapstructure:"runs"`             // of logs; default 2160h
}

var allRoles = []string{"hook", "plan", "work", "report", "web"}

// complete fills in the defaults that depend on other keys, and makes paths absolute.
func (c *Config) complete() error {
	data, err := filepath.Abs(c.Data)
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	c.Data = data
	if c.Server.URL == "" {
		c.Server.URL = "http://" + c.Server.Listen
	}
	c.Server.URL = strings.TrimRight(c.Server.URL, "/")
	if len(c.Runners) == 0 {
		c.Runners = []RunnerConfig{{Name: "local", Kind: "local"}}
	}
	for i := range c.Runners {
		if c.Runners[i].Capacity == 0 {
			c.Runners[i].Capacity = runtime.NumCPU()
		}
	}
	if c.DefaultRunner == "" && len(c.Runners) == 1 {
		c.DefaultRunner = c.Runners[0].Name
	}
	return c.readSecrets()
}

// Validate reports all problems at once. What belongs to one room, that room validates.
func (c *Config) Validate() error {
	var errs []error
	for _, role := range c.Roles {
		if !slices.Contains(allRoles, role) {
			errs = append(errs, fmt.Errorf("roles: %q is none of %s", role, strings.Join(allRoles, ", ")))
		}
	}
	errs = append(errs, unique("forges", c.Forges, func(f ForgeConfig) string { return f.Name }))
	errs = append(errs, unique("runners", c.Runners, func(r RunnerConfig) string { return r.Name }))
	for _, r := range c.Runners {
		if r.Kind != "local" {
			errs = append(errs, fmt.Errorf("runners: %s: kind %q is not known, say local", r.Name, r.Kind))
		}
	}
	if !slices.ContainsFunc(c.Runners, func(r RunnerConfig) bool { return r.Name == c.DefaultRunner }) {
		errs = append(errs, fmt.Errorf("default_runner: %q names none of runners", c.DefaultRunner))
	}
	if c.ShutdownGrace <= 0 {
		errs = append(errs, errors.New("shutdown_grace: say a duration like 30s"))
	}
	return errors.Join(errs...)
}

// unique checks that each of things has a name that none other has.
func unique[T any](key string, things []T, name func(T) string) error {
	seen := map[string]bool{}
	var errs []error
	for _, thing := range things {
		switch n := name(thing); {
		case !plainName(n):
			errs = append(errs, fmt.Errorf("%s: name %q: use a-z, 0-9 and -, at most 40 characters", key, n))
		case seen[n]:
			errs = append(errs, fmt.Errorf("%s: two are named %q", key, n))
		default:
			seen[n] = true
		}
	}
	return errors.Join(errs...)
}

func plainName(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
