package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/millrace-ci/millrace/triggers"
)

// Complete fills in the defaults that depend on other keys, makes the data folder's path absolute, and reads the
// secrets that are named by files. It reports all problems at once.
func (c *Config) Complete() error {
	data, err := filepath.Abs(c.Data)
	if c.Data == "" {
		err = errors.New("data: is empty: name a folder")
	}
	c.Data = data
	c.Server.URL = strings.TrimRight(cmp.Or(c.Server.URL, reachable(c.Server.Listen)), "/")
	c.Spool.Dir = cmp.Or(c.Spool.Dir, filepath.Join(c.Data, "spool"))
	c.Logs.Bucket = cmp.Or(c.Logs.Bucket, c.OwnLogs())
	c.completeRunners()
	return errors.Join(err, c.readSecrets(), c.readCAs())
}

// OwnLogs is the bucket of an agent for which none is named.
func (c *Config) OwnLogs() string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(c.Data, "logs"))}).String()
}

// reachable is the URL of what listens at an address, for somebody on this machine.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		listen = net.JoinHostPort("localhost", port)
	}
	return "http://" + listen
}

// readSecrets reads the secrets that are named by files.
func (c *Config) readSecrets() error {
	var errs []error
	for i := range c.Forges {
		f := &c.Forges[i]
		errs = append(errs,
			readSecret(fmt.Sprintf("forges[%d].token", i), &f.Token, f.TokenFile),
			readSecret(fmt.Sprintf("forges[%d].app.private_key", i), &f.App.PrivateKey, f.App.PrivateKeyFile))
		for j := range f.WebhookSecrets {
			s := &f.WebhookSecrets[j]
			errs = append(errs, readSecret(fmt.Sprintf("forges[%d].webhook_secrets[%d].secret", i, j), &s.Secret, s.SecretFile))
		}
	}
	return errors.Join(errs...)
}

// readSecret reads the secret of key from a file, if one is named. The end of its line does not belong to it.
func readSecret(key string, secret *triggers.Secret, file string) error {
	if file == "" {
		return nil
	}
	if *secret != "" {
		name := key[strings.LastIndex(key, ".")+1:]
		return fmt.Errorf("%s: give %s or %[2]s_file, not both", key, name)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%s_file: %w", key, err)
	}
	if *secret = triggers.Secret(strings.TrimRight(string(data), "\r\n")); *secret == "" {
		return fmt.Errorf("%s_file: %s is empty", key, file)
	}
	return nil
}

// Validate reports all problems at once. What belongs to one room, that room validates.
func (c *Config) Validate() error {
	errs := []error{
		c.validateServer(), c.validateRoles(), c.validateForges(), c.validateRunners(), c.validateSecrets(), c.validateRegistries(),
	}
	for _, d := range []struct {
		key   string
		value int64
	}{
		{"retention.deliveries", int64(c.Retention.Deliveries)},
		{"retention.deliveries_bytes", int64(c.Retention.DeliveriesBytes)},
		{"retention.runs", int64(c.Retention.Runs)},
		{"retention.runs_bytes", int64(c.Retention.RunsBytes)},
		{"shutdown_grace", int64(c.ShutdownGrace)},
	} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("%s: must be more than 0", d.key))
		}
	}
	if every := c.Gaps.Every; every != 0 && (every < minGaps || every > maxGaps) {
		errs = append(errs, fmt.Errorf("gaps.every: must be from %v to %v, or 0s for no looks but those of a forge with `poll`", minGaps, maxGaps))
	}
	if c.Spool.MaxBytes < 0 {
		errs = append(errs, errors.New("spool.max_bytes: must not be less than 0"))
	}
	return errors.Join(errs...)
}

func (c *Config) validateServer() error {
	_, port, err := net.SplitHostPort(c.Server.Listen)
	if n, notNumber := strconv.Atoi(port); err != nil || notNumber != nil || n < 1 || n > 65535 {
		return fmt.Errorf("server.listen: %q is no address: write HOST:PORT, like 127.0.0.1:8080 or :8080", c.Server.Listen)
	}
	if err := triggers.CheckURL(c.Server.URL); err != nil {
		return fmt.Errorf("server.url: %w", err)
	}
	return nil
}

// validateRoles checks the roles. Only report and web need nothing but Redis.
func (c *Config) validateRoles() error {
	if len(c.Roles) == 0 {
		return fmt.Errorf("roles: is empty, so this agent would do nothing: name some of %s", strings.Join(allRoles, ", "))
	}
	var errs []error
	for _, role := range c.Roles {
		if !slices.Contains(allRoles, role) {
			errs = append(errs, fmt.Errorf("roles: %q is none of %s", role, strings.Join(allRoles, ", ")))
		}
	}
	has := func(role string) bool { return slices.Contains(c.Roles, role) }
	if len(errs) == 0 && (has("plan") != has("work") || has("hook") && !has("plan")) {
		errs = append(errs, errors.New("roles: hook, plan and work belong into one agent, because large deliveries and local jobs are kept in its data folder: "+
			"name all three, or none of them and only report and web"))
	}
	return errors.Join(errs...)
}

func (c *Config) validateForges() error {
	errs := []error{unique("forges", c.Forges, func(f Forge) string { return f.Name })}
	for i, f := range c.Forges {
		errs = append(errs, globs(fmt.Sprintf("forges[%d].repositories", i), f.Repositories), checkSSH(i, f.SSHURL), checkApp(i, f))
		if f.Poll != 0 && f.Poll < minPoll {
			errs = append(errs, fmt.Errorf("forges[%d].poll: must be at least %v", i, minPoll))
		}
	}
	return errors.Join(errs...)
}

// minGaps spares forges; what failed to arrive for longer than maxGaps, none of them may be able to tell any more.
const minGaps, maxGaps = time.Minute, 24 * time.Hour

// minPoll spares forges: each look is a request for each repository.
const minPoll = 10 * time.Second

// globs checks patterns over names.
func globs(key string, patterns []string) error {
	var errs []error
	for _, glob := range patterns {
		if !doublestar.ValidatePattern(glob) {
			errs = append(errs, fmt.Errorf("%s: %q is no glob, like shop/*", key, glob))
		}
	}
	return errors.Join(errs...)
}

// checkApp checks that an app is one of GitHub's, and all there.
func checkApp(i int, f Forge) error {
	switch a := f.App; {
	case a == ForgeApp{}:
		return nil
	case f.Kind != "github":
		return fmt.Errorf("forges[%d].app: only a forge of kind github has apps", i)
	case a.ID <= 0 || a.Installation < 0:
		return fmt.Errorf("forges[%d].app.id: say the number that GitHub shows as App ID", i)
	case a.PrivateKey == "":
		return fmt.Errorf("forges[%d].app.private_key_file: name the file that GitHub made when the app got its private key", i)
	}
	return nil
}

func checkSSH(i int, address string) error {
	u, err := url.Parse(address)
	if address != "" && (err != nil || u.Scheme != "ssh" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "") {
		return fmt.Errorf("forges[%d].ssh_url: %q is not ssh://USER@HOST or ssh://USER@HOST:PORT", i, address)
	}
	return nil
}

// unique checks that each of things has a name that none other has.
func unique[T any](key string, things []T, name func(T) string) error {
	seen := map[string]bool{}
	var errs []error
	for i, thing := range things {
		switch n := name(thing); {
		case !plainName(n):
			errs = append(errs, fmt.Errorf("%s[%d].name: %q: use a-z, 0-9 and -, at most 40 characters", key, i, n))
		case seen[n]:
			errs = append(errs, fmt.Errorf("%s[%d].name: another one is named %q too", key, i, n))
		default:
			seen[n] = true
		}
	}
	return errors.Join(errs...)
}

func plainName(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
