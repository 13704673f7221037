package local

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace-ci/millrace/agent/mask"
	"github.com/millrace-ci/millrace/runners"
)

// handed is what a keeper reads from its standard input: nothing of it is ever in an argv or on a disk.
type handed struct {
	credentials
	Env map[string]string `json:"env,omitempty"` // secrets, by the variable that each becomes
}

// maxHanded bounds handed in bytes: a value may grow to six times its size in JSON.
const maxHanded = 6*runners.MaxCommand + 64<<10

// credentials is how the source is reached.
type credentials struct {
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
}

// check tells why this runner never takes the job, wrapping runners.ErrRefused: what its folder cannot give a process of
// this machine is refused rather than left out.
func (c Config) check(job runners.Job) error {
	if err := job.Check(); err != nil {
		return err
	}
	const elsewhere = "this needs a runner of kind kube"
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{runners.ErrRefused}, args...)...)
	}
	if len(job.Files) > 0 {
		return refuse("the task has files at fixed places of its own container: %s", elsewhere)
	}
	if key := job.Source.Key; key != nil {
		return refuse("the source is to be cloned with the key of secret %s: %s", key.Name, elsewhere)
	}
	for _, s := range job.Secrets {
		switch {
		case s.Path != "":
			return refuse("secret %s is to be files in %s: %s", s.Name, s.Path, elsewhere)
		case s.From.Kubernetes != "":
			return refuse("secret %s is kept in a cluster: %s", s.Name, elsewhere)
		case c.Read == nil:
			return refuse("secret %s: this runner reads no secrets", s.Name)
		case c.Engine != "" && job.Image != "" && steersEngine(s.Env):
			return refuse("secret %s is to be %s, which %s reads for itself: choose another name", s.Name, s.Env, c.Engine)
		}
	}
	return nil
}

// values reads the job's secrets, by the variable that each becomes.
func (r *Runner) values(job runners.Job) (map[string]string, error) {
	values := map[string]string{}
	for _, s := range job.Secrets {
		kept, err := r.cfg.Read(s.From)
		if err != nil {
			return nil, fmt.Errorf("read secret %s: %w", s.Name, err)
		}
		value, ok := kept[s.Key]
		switch {
		case !ok:
			return nil, fmt.Errorf("%w: secret %s has no entry %s", runners.ErrRefused, s.Name, s.Key)
		case bytes.IndexByte(value, 0) >= 0:
			return nil, fmt.Errorf("%w: entry %s of secret %s holds a NUL byte, which no environment can", runners.ErrRefused, s.Key, s.Name)
		case len(bytes.Trim(value, "\r\n")) < mask.MinValue:
			return nil, fmt.Errorf("%w: entry %s of secret %s is shorter than %d bytes and could not be hidden in the log", runners.ErrRefused, s.Key, s.Name, mask.MinValue)
		}
		values[s.Env] = string(value)
	}
	if err := mask.Check(slices.Collect(maps.Values(values))...); err != nil {
		return nil, fmt.Errorf("%w: the secrets of the task: %w", runners.ErrRefused, err)
	}
	return values, nil
}

// keptNow are the values of the job's secrets as they are now, none if they cannot be read.
func (r *Runner) keptNow(job runners.Job) []string {
	if r.cfg.Read == nil {
		return nil
	}
	values, err := r.values(job)
	if err != nil {
		return nil
	}
	return handed{Env: values}.secret()
}

// secret are the values that must not be shown, in an order of their own.
func (h handed) secret() []string {
	var all []string
	for _, value := range h.Env {
		all = append(all, value)
	}
	slices.Sort(all)
	return all
}

// hidden is the result without the values of secrets.
func hidden(res runners.Result, m *mask.Masker) runners.Result {
	res.Reason, res.Summary = m.Text(res.Reason), m.Text(res.Summary)
	for name, value := range res.Outputs {
		res.Outputs[name] = m.Text(value)
	}
	return res
}
