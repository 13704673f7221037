package main

import (
	"time"

	"github.com/millrace-ci/millrace/triggers"
)

// Config is millrace.yaml. Every key is optional. The order of precedence, low to high: the defaults, the file, the
// environment (MILLRACE_SERVER_LISTEN), flags. Relative paths are relative to the folder that millrace is started in.
// docs/configuration.md tells the keys to operators.
type Config struct {
	Server        ServerConfig    `mapstructure:"server"`
	Redis         RedisConfig     `mapstructure:"redis"`
	Data          string          `mapstructure:"data"`           // folder of this agent
	Roles         []string        `mapstructure:"roles"`          // what this agent does, of allRoles
	Forges        []ForgeConfig   `mapstructure:"forges"`         // the Git hosts that it hears and tells
	Runners       []RunnerConfig  `mapstructure:"runners"`        // where tasks run; none: one, local
	DefaultRunner string          `mapstructure:"default_runner"` // of tasks that name none; "": the only runner
	Secrets       []SecretConfig  `mapstructure:"secrets"`        // what tasks may be given and nobody sees
	Images        ImagesConfig    `mapstructure:"images"`
	Registries    []Registry      `mapstructure:"registries"`
	Logs          LogsConfig      `mapstructure:"logs"`
	Retention     RetentionConfig `mapstructure:"retention"`
	ShutdownGrace time.Duration   `mapstructure:"shutdown_grace"` // for what is being done at a SIGTERM
}

// ServerConfig is where people and forges reach Millrace.
type ServerConfig struct {
	Listen string `mapstructure:"listen"` // host:port
	URL    string `mapstructure:"url"`    // as people and forges write it; "": http:// and Listen

	SecretFile string `mapstructure:"secret_file"` // what tokens of tasks are made with, the same for all agents; "": made in Data
}

// RedisConfig is where the state is.
type RedisConfig struct {
	URL triggers.Secret `mapstructure:"url"` // redis://, rediss:// or unix://, may hold a password; "": a redis-server of its own, in Data
}

// ForgeConfig is one Git host.
type ForgeConfig struct {
	Name           string          `mapstructure:"name"`       // the hook's path: /hooks/NAME
	Kind           string          `mapstructure:"kind"`       // one of forgeKinds
	URL            string          `mapstructure:"url"`        // of the host or its API
	Token          triggers.Secret `mapstructure:"token"`      // reads repositories and writes statuses; "": public ones, and nothing is told
	TokenFile      string          `mapstructure:"token_file"` // file that holds Token
	SSHURL         string          `mapstructure:"ssh_url"`    // ssh://USER@HOST[:PORT] of clones by key; "": git@ the host
	Repositories   []string        `mapstructure:"repositories"`
	WebhookSecrets []WebhookSecret `mapstructure:"webhook_secrets"` // none: the door is shut
}

// WebhookSecret signs deliveries. In the file it may be a plain string.
type WebhookSecret struct {
	Secret        triggers.Secret `mapstructure:"secret"`
	SecretFile    string          `mapstructure:"secret_file"`    // file that holds Secret
	Repositories  []string        `mapstructure:"repositories"`   // globs over owner/name of those it may speak for; none: all
	PerRepository bool            `mapstructure:"per_repository"` // a master: each repository's secret is derived from it
}

// RetentionConfig says how long things are kept.
type RetentionConfig struct {
	Deliveries      time.Duration `mapstructure:"deliveries"`
	DeliveriesBytes Bytes         `mapstructure:"deliveries_bytes"`
	Runs            time.Duration `mapstructure:"runs"` // of their logs
}

var allRoles = []string{"hook", "plan", "work", "report", "web"}

// defaults is the configuration of an operator who says nothing. complete fills in what depends on other keys.
func defaults() *Config {
	return &Config{
		Server:        ServerConfig{Listen: "127.0.0.1:8080"},
		Data:          "./data",
		Roles:         append([]string(nil), allRoles...),
		Retention:     RetentionConfig{Deliveries: 168 * time.Hour, DeliveriesBytes: 512 << 20, Runs: 2160 * time.Hour},
		ShutdownGrace: 30 * time.Second,
	}
}
