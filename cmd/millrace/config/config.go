// Package config is millrace.yaml: its keys, defaults and problems. Main loads it and builds the parts of what it says;
// this package calls nobody, knows no implementation, and asks of the world only the files that the keys name.
package config

import (
	"time"

	"github.com/millrace-ci/millrace/triggers"
)

// Config is millrace.yaml. Every key is optional. The order of precedence, low to high: the defaults, the file, the
// environment (MILLRACE_SERVER_LISTEN), flags. Relative paths are relative to the folder that millrace is started in.
// docs/configuration.md tells the keys to operators.
type Config struct {
	Server        Server        `mapstructure:"server"`
	Redis         Redis         `mapstructure:"redis"`
	Data          string        `mapstructure:"data"`           // folder of this agent
	Spool         Spool         `mapstructure:"spool"`          // where deliveries wait while Redis is away
	Roles         []string      `mapstructure:"roles"`          // what this agent does, of allRoles
	Forges        []Forge       `mapstructure:"forges"`         // the Git hosts that it hears and tells
	Runners       []Runner      `mapstructure:"runners"`        // where tasks run; none: one, local
	DefaultRunner string        `mapstructure:"default_runner"` // of tasks that name none; "": the only runner
	Secrets       []Secret      `mapstructure:"secrets"`        // what tasks may be given and nobody sees
	Images        Images        `mapstructure:"images"`
	Registries    []Registry    `mapstructure:"registries"`
	Logs          Logs          `mapstructure:"logs"`
	Gaps          Gaps          `mapstructure:"gaps"`
	Retention     Retention     `mapstructure:"retention"`
	ShutdownGrace time.Duration `mapstructure:"shutdown_grace"` // for what is being done at a SIGTERM
}

// Server is where people and forges reach Millrace.
type Server struct {
	Listen string `mapstructure:"listen"` // host:port
	URL    string `mapstructure:"url"`    // as people and forges write it; "": http:// and Listen

	SecretFile string `mapstructure:"secret_file"` // what tokens of tasks are made with, the same for all agents; "": made in Data
}

// Spool is where deliveries are kept while Redis is away.
type Spool struct {
	Dir      string `mapstructure:"dir"`       // "": the folder spool in Data
	MaxBytes Bytes  `mapstructure:"max_bytes"` // 0: it is off
}

// Logs is where the logs of what has ended are kept.
type Logs struct {
	Bucket string `mapstructure:"bucket"` // URL; "": the folder logs in Data
}

// Redis is where the state is.
type Redis struct {
	URL triggers.Secret `mapstructure:"url"` // redis://, rediss:// or unix://, may hold a password; "": a redis-server of its own, in Data
}

// Forge is one Git host.
type Forge struct {
	Name           string          `mapstructure:"name"`       // the hook's path: /hooks/NAME
	Kind           string          `mapstructure:"kind"`       // github, gitlab, gitea
	URL            string          `mapstructure:"url"`        // of the host or its API
	Token          triggers.Secret `mapstructure:"token"`      // reads repositories and writes statuses; "": public ones, and nothing is told
	TokenFile      string          `mapstructure:"token_file"` // file that holds Token
	App            ForgeApp        `mapstructure:"app"`        // as which it tells, GitHub only
	SSHURL         string          `mapstructure:"ssh_url"`    // ssh://USER@HOST[:PORT] of clones by key; "": git@ the host
	Repositories   []string        `mapstructure:"repositories"`
	Poll           time.Duration   `mapstructure:"poll"`            // between two looks for pushes that it did not tell; 0: what is usual
	WebhookSecrets []WebhookSecret `mapstructure:"webhook_secrets"` // none: the door is shut
}

// ForgeApp is a GitHub App.
type ForgeApp struct {
	ID             int             `mapstructure:"id"`               // 0: none
	PrivateKey     triggers.Secret `mapstructure:"private_key"`      // PEM
	PrivateKeyFile string          `mapstructure:"private_key_file"` // file that holds PrivateKey
	Installation   int             `mapstructure:"installation"`     // 0: that of each repository
}

// WebhookSecret signs deliveries. In the file it may be a plain string.
type WebhookSecret struct {
	Secret        triggers.Secret `mapstructure:"secret"`
	SecretFile    string          `mapstructure:"secret_file"`    // file that holds Secret
	Repositories  []string        `mapstructure:"repositories"`   // globs over owner/name of those it may speak for; none: all
	PerRepository bool            `mapstructure:"per_repository"` // a master: each repository's secret is derived from it
}

// Gaps is how pushes are found that no delivery told.
type Gaps struct {
	Every time.Duration `mapstructure:"every"` // between two looks at a repository; 0: only those of a forge with poll
}

// Retention says how long things are kept.
type Retention struct {
	Deliveries      time.Duration `mapstructure:"deliveries"`
	DeliveriesBytes Bytes         `mapstructure:"deliveries_bytes"`
	Runs            time.Duration `mapstructure:"runs"`       // after their end, with their logs
	RunsBytes       Bytes         `mapstructure:"runs_bytes"` // of runs that have ended, with their logs
}

var allRoles = []string{"hook", "plan", "work", "report", "web"}

// Default is the configuration of an operator who says nothing. Complete fills in what depends on other keys.
func Default() *Config {
	return &Config{
		Server:        Server{Listen: "127.0.0.1:8080"},
		Data:          "./data",
		Spool:         Spool{MaxBytes: 1 << 30},
		Roles:         append([]string(nil), allRoles...),
		Gaps:          Gaps{Every: 10 * time.Minute},
		Retention:     Retention{Deliveries: 168 * time.Hour, DeliveriesBytes: 512 << 20, Runs: 2160 * time.Hour, RunsBytes: 10 << 30},
		ShutdownGrace: 30 * time.Second,
	}
}
