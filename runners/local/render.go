package local

import (
	"bytes"
	"fmt"
	"maps"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-ci/millrace/runners"
)

// manifest is what a job becomes, for people.
type manifest struct {
	Runner  string            `yaml:"runner"`
	Job     string            `yaml:"job"`
	Dir     string            `yaml:"directory,omitempty"` // as it stands
	Source  *sourceOf         `yaml:"source,omitempty"`
	Engine  string            `yaml:"engine,omitempty"`
	Image   string            `yaml:"image,omitempty"`
	Command []string          `yaml:"command"`
	Env     map[string]string `yaml:"env,omitempty"`
	Secrets map[string]string `yaml:"secrets,omitempty"` // NAME/KEY, by the variable that each becomes
	Timeout string            `yaml:"timeout,omitempty"`
}

type sourceOf struct {
	URL    string `yaml:"url"`
	Commit string `yaml:"commit"`
}

// Render is runners.Renderer's. Where there is no engine for it, the image is left out: it is not used.
func (r *Runner) Render(job runners.Job) ([]byte, error) { return r.cfg.Render(job) }

// Render is what a Runner of this configuration renders.
func (c Config) Render(job runners.Job) ([]byte, error) {
	if err := c.check(job); err != nil {
		return nil, err
	}
	m := manifest{Runner: "local", Job: job.ID, Dir: c.InPlace, Command: job.Command, Env: maps.Clone(c.Env)}
	if m.Dir == "" && job.Source.URL != "" {
		m.Source = &sourceOf{job.Source.URL, job.Source.Commit}
	}
	if c.Engine != "" && job.Image != "" {
		m.Engine, m.Image, m.Env = c.Engine, job.Image, nil // see container
	}
	if m.Env == nil {
		m.Env = map[string]string{}
	}
	maps.Copy(m.Env, job.Env)
	for _, s := range job.Secrets {
		if m.Secrets == nil {
			m.Secrets = map[string]string{}
		}
		m.Secrets[s.Env] = s.Name + "/" + s.Key
	}
	if job.Timeout > 0 {
		m.Timeout = job.Timeout.String()
	}
	var text bytes.Buffer
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	if err := e.Encode(m); err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	return text.Bytes(), nil
}
