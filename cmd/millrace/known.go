package main

import (
	"net/url"
	"os"

	"github.com/millrace-ci/millrace/agent/mask"
	"github.com/millrace-ci/millrace/cmd/millrace/config"
	"github.com/millrace-ci/millrace/runners"
)

// known hides what this process knows to be secret: what its configuration says, and the operator's secrets as they were
// when it started. What only a cluster has is not among it. Where all of them are too large to be hidden, those are hidden
// by which it speaks to others.
func known(c *config.Config) *mask.Masker {
	own := ownSecrets(c)
	for _, values := range [][]string{append(operatorsSecrets(c), own...), own, nil} {
		if m, err := mask.New(hideable(values)...); err == nil {
			return m
		}
	}
	return nil // Nothing is what can always be hidden.
}

// ownSecrets are those by which it speaks to others.
func ownSecrets(c *config.Config) []string {
	var values []string
	for _, f := range c.Forges {
		values = append(values, string(f.Token))
		for _, s := range f.WebhookSecrets {
			values = append(values, string(s.Secret))
		}
	}
	if u, err := url.Parse(string(c.Redis.URL)); err == nil {
		password, _ := u.User.Password()
		values = append(values, password)
	}
	return values
}

// operatorsSecrets are those that tasks may be given, as far as they are kept here. What cannot be read tells nobody
// anything yet.
func operatorsSecrets(c *config.Config) []string {
	var values []string
	for _, s := range c.Secrets {
		for _, name := range s.Environment {
			values = append(values, os.Getenv(name))
		}
		data, err := os.ReadFile(s.File)
		if err != nil {
			continue
		}
		entries, err := runners.ParseOutputs(data)
		if err != nil {
			continue
		}
		for _, value := range entries {
			values = append(values, value)
		}
	}
	return values
}

// hideable leaves out what is too short to be hidden.
func hideable(values []string) []string {
	var long []string
	for _, v := range values {
		if mask.Check(v) == nil {
			long = append(long, v)
		}
	}
	return long
}
