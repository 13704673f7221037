package config

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/triggers"
)

// Runner is where tasks run. What stands below Capacity is for kind kube.
type Runner struct {
	Name     string `mapstructure:"name"`
	Kind     string `mapstructure:"kind"`     // local, kube
	Capacity int    `mapstructure:"capacity"` // tasks at once; 0: the number of cores, or kubeCapacity

	Kubeconfig     string        `mapstructure:"kubeconfig"` // file; "": the cluster that this agent is a pod of
	Context        string        `mapstructure:"context"`    // of the file; "": its current one
	Namespace      string        `mapstructure:"namespace"`  // where jobs are made and their secrets lie
	QPS            float32       `mapstructure:"qps"`        // calls a second of all runners of this cluster together; 0: 50
	PendingTimeout time.Duration `mapstructure:"pending_timeout"`
	Policy         Policy        `mapstructure:"policy"`
}

// kubeCapacity is how many jobs of a cluster one agent watches at once, where nothing is said.
const kubeCapacity = 200

// Policy is what tasks may ask of a cluster.
type Policy struct {
	ServiceAccounts []string          `mapstructure:"service_accounts"`
	NodeSelector    map[string]string `mapstructure:"node_selector"`
	Tolerations     []string          `mapstructure:"tolerations"`
	Max             Resources         `mapstructure:"max"`
	Default         Resources         `mapstructure:"default"`
	PodSecurity     string            `mapstructure:"pod_security"`
}

// Resources is Kubernetes quantities of one container.
type Resources struct {
	CPU    string `mapstructure:"cpu"`
	Memory string `mapstructure:"memory"`
}

// Secret is one secret: where it is kept, and who may use it.
type Secret struct {
	Name         string   `mapstructure:"name"`
	Kubernetes   string   `mapstructure:"kubernetes"` // NAMESPACE/NAME of a Secret, or
	File         string   `mapstructure:"file"`       // NAME=value lines, or
	Environment  []string `mapstructure:"environment"`
	Repositories []string `mapstructure:"repositories"`
	Events       []string `mapstructure:"events"`
	Refs         []string `mapstructure:"refs"`
	Templates    []string `mapstructure:"templates"`
}

// completeRunners fills in what depends on the kind of a runner.
func (c *Config) completeRunners() {
	if len(c.Runners) == 0 {
		c.Runners = []Runner{{Name: "local", Kind: "local"}}
	}
	for i := range c.Runners {
		switch r := &c.Runners[i]; {
		case r.Capacity != 0:
		case r.Kind == "kube":
			r.Capacity = kubeCapacity
		default:
			r.Capacity = runtime.NumCPU()
		}
	}
	if c.DefaultRunner == "" && len(c.Runners) == 1 {
		c.DefaultRunner = c.Runners[0].Name
	}
}

func (c *Config) validateRunners() error {
	errs := []error{unique("runners", c.Runners, func(r Runner) string { return r.Name })}
	for i, r := range c.Runners {
		errs = append(errs, r.validate(fmt.Sprintf("runners[%d]", i)), c.sameRate(i))
	}
	switch named := slices.ContainsFunc(c.Runners, func(r Runner) bool { return r.Name == c.DefaultRunner }); {
	case c.DefaultRunner == "":
		errs = append(errs, errors.New("default_runner: there are several runners: say which one tasks get that name none"))
	case !named:
		errs = append(errs, fmt.Errorf("default_runner: %q is the name of none of the runners", c.DefaultRunner))
	}
	return errors.Join(errs...)
}

// sameRate refuses a rate for the i-th runner that is not the one of an earlier runner of its cluster: they share one.
func (c *Config) sameRate(i int) error {
	r := c.Runners[i]
	for j, other := range c.Runners[:i] {
		if r.Kind == "kube" && other.Kind == "kube" && r.Kubeconfig == other.Kubeconfig && r.Context == other.Context && r.QPS != other.QPS {
			return fmt.Errorf("runners[%d].qps: it is %g, and %g for runners[%d] of the same cluster, which share one rate: say the same for both", i, r.QPS, other.QPS, j)
		}
	}
	return nil
}

func (r Runner) validate(key string) error {
	var errs []error
	if r.Capacity < 0 {
		errs = append(errs, fmt.Errorf("%s.capacity: must be more than 0", key))
	}
	switch r.Kind {
	case "local":
		errs = append(errs, r.onlyKube(key))
	case "kube":
		if r.Namespace == "" {
			errs = append(errs, fmt.Errorf("%s.namespace: say where jobs are to be made", key))
		}
	default:
		errs = append(errs, fmt.Errorf("%s.kind: %q is not known, say local or kube", key, r.Kind))
	}
	return errors.Join(errs...)
}

// onlyKube refuses what a local runner would silently not do.
func (r Runner) onlyKube(key string) error {
	var said []string
	for name, given := range map[string]bool{
		"kubeconfig": r.Kubeconfig != "", "context": r.Context != "", "namespace": r.Namespace != "", "qps": r.QPS != 0, "pending_timeout": r.PendingTimeout != 0,
	} {
		if given {
			said = append(said, name)
		}
	}
	if len(said) == 0 {
		return nil
	}
	slices.Sort(said)
	return fmt.Errorf("%s: %s is for a runner of kind kube", key, strings.Join(said, ", "))
}

func (c *Config) validateSecrets() error {
	errs := []error{unique("secrets", c.Secrets, func(s Secret) string { return s.Name })}
	kinds := []string{string(triggers.Push), string(triggers.Tag), string(triggers.PullRequest)}
	for i, s := range c.Secrets {
		places := 0
		for _, said := range []bool{s.Kubernetes != "", s.File != "", len(s.Environment) > 0} {
			if said {
				places++
			}
		}
		if places != 1 {
			errs = append(errs, fmt.Errorf("secrets[%d]: say where it is kept: kubernetes (NAMESPACE/NAME), file or environment, one of them", i))
		}
		if s.Kubernetes != "" && strings.Count(s.Kubernetes, "/") != 1 {
			errs = append(errs, fmt.Errorf("secrets[%d].kubernetes: %q is not NAMESPACE/NAME", i, s.Kubernetes))
		}
		for _, kind := range s.Events {
			if !slices.Contains(kinds, kind) {
				errs = append(errs, fmt.Errorf("secrets[%d].events: %q is none of %s", i, kind, strings.Join(kinds, ", ")))
			}
		}
		errs = append(errs, globs(fmt.Sprintf("secrets[%d].repositories", i), s.Repositories), globs(fmt.Sprintf("secrets[%d].refs", i), s.Refs))
	}
	return errors.Join(errs...)
}
