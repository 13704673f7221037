package kube

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/millrace-ci/millrace/runners"
)

// Config is how a Runner is set up.
type Config struct {
	Cluster   *Cluster
	Namespace string // where jobs are made, and where the secrets that they use lie
	// Instance names the Millrace that this is one agent of, among those that share the namespace: the same for all of its
	// agents, now and later. Sweep leaves alone what another one made.
	Instance   string
	GitImage   string            // of the container `clone`: it has git, ssh and a POSIX shell
	Mirrors    map[string]string // what stands in the place of a host, the beginning of a path, or one image; the longest wins
	Registries []Registry
	Policy     Policy
	// Read gives the entries of a secret that is kept in a file or the environment; nil: jobs with such secrets are refused.
	// Its error wraps runners.ErrRefused where the operator has something to mend, and never holds a value.
	Read           func(runners.Keeper) (map[string][]byte, error)
	PendingTimeout time.Duration // for what the cluster may still mend by itself: no room, quota; 0 and less than 30 s: 30 s
	Log            *slog.Logger
}

// Registry is how images of one host are pulled.
type Registry struct {
	Host       string // as images name it, with its port
	PullSecret string // name of a Secret of type kubernetes.io/dockerconfigjson in Config.Namespace
}

// Validate tells all that is wrong with the configuration.
func (c Config) Validate() error {
	var problems []error
	fail := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.Cluster == nil {
		fail("cluster is missing")
	}
	if len(validation.IsDNS1123Label(c.Namespace)) > 0 {
		fail("namespace %q is not the name of one", c.Namespace)
	}
	if len(validation.IsValidLabelValue(c.Instance)) > 0 {
		fail("instance %q is not the value of a label", c.Instance)
	}
	if !imagePattern.MatchString(c.GitImage) {
		fail("git image %q is not the name of an image", c.GitImage)
	}
	for _, key := range slices.Sorted(maps.Keys(c.Mirrors)) {
		if key == "" || !imagePattern.MatchString(c.Mirrors[key]) {
			fail("mirror %q of %q is not the name of a host, path or image", c.Mirrors[key], key)
		}
	}
	for _, r := range c.Registries {
		if r.Host == "" {
			fail("a registry has no host")
		}
		if r.PullSecret != "" && len(validation.IsDNS1123Subdomain(r.PullSecret)) > 0 {
			fail("pull secret %q of registry %s is not the name of a Secret", r.PullSecret, r.Host)
		}
	}
	if c.PendingTimeout < 0 {
		fail("pending timeout %s is negative", c.PendingTimeout)
	}
	if c.Log == nil {
		fail("log is missing")
	}
	return errors.Join(append(problems, c.Policy.validate()...)...)
}
