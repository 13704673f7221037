package config

import (
	"errors"
	"fmt"
	"os"
)

// Images is the images that Millrace itself starts, and where images come from instead of where they say.
type Images struct {
	Mirrors map[string]string `mapstructure:"mirrors"` // by host, beginning of a path, or image; the longest wins
	Git     string            `mapstructure:"git"`
	Kaniko  string            `mapstructure:"kaniko"`
	Kubectl string            `mapstructure:"kubectl"`
}

// Registry is how images of one host are pulled and pushed.
type Registry struct {
	Host       string `mapstructure:"host"`        // as images name it, with its port
	PullSecret string `mapstructure:"pull_secret"` // name of a Secret of kind dockerconfigjson in the namespace of the jobs
	CAFile     string `mapstructure:"ca_file"`     // who signed its certificate
	Insecure   bool   `mapstructure:"insecure"`    // it speaks plain HTTP, or its certificate is not checked

	CA string `mapstructure:"-"` // what CAFile holds
}

// readCAs reads the certificates that are named by files.
func (c *Config) readCAs() error {
	var errs []error
	for i := range c.Registries {
		r := &c.Registries[i]
		if r.CAFile == "" {
			continue
		}
		data, err := os.ReadFile(r.CAFile)
		if err != nil {
			errs = append(errs, fmt.Errorf("registries[%d].ca_file: %w", i, err))
		}
		r.CA = string(data)
	}
	return errors.Join(errs...)
}

func (c *Config) validateRegistries() error {
	var errs []error
	seen := map[string]bool{}
	for i, r := range c.Registries {
		switch {
		case r.Host == "":
			errs = append(errs, fmt.Errorf("registries[%d].host: say which, as images name it: harbor.example.com", i))
		case seen[r.Host]:
			errs = append(errs, fmt.Errorf("registries[%d].host: %q stands in another entry too", i, r.Host))
		}
		seen[r.Host] = true
	}
	return errors.Join(errs...)
}
