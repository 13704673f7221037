// Package template is named, versioned ways to do a task: what parameters one takes, where it runs, and the container
// that it becomes. It is pure. package run looks templates up in a Catalogue when it compiles a snapshot, the worker
// renders them when it makes a job.
package template

import "github.com/millrace-ci/millrace/agent/param"

// Template is one version of a way to do a task.
type Template struct {
	Name        string       `json:"name"`
	Version     string       `json:"version"` // v1
	Description string       `json:"description"`
	RunsOn      []string     `json:"runs_on"` // kinds of runner: local, kube
	Params      []param.Decl `json:"params"`
	Open        bool         `json:"open,omitempty"` // takes the pipeline's parameters that it does not declare as environment
	Container   Container    `json:"container"`
}

// Container is the process that a task becomes. ${NAME} in a scalar stands for the value of a parameter; values are
// put into parsed scalars and never read again, so that no value becomes code (C4).
type Container struct {
	Image   string            `json:"image"`
	Command []string          `json:"command"`
	Env     map[string]string `json:"env,omitempty"`
	EnvFrom []string          `json:"env_from,omitempty"` // names of Map parameters whose entries become environment
}

// Ref is how a pipeline names the template: script@v1.
func (t Template) Ref() string { return t.Name + "@" + t.Version }

// Catalogue is the templates that there are, by Ref.
type Catalogue map[string]Template
