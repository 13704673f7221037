// Package template is named, versioned ways to do a task: what parameters one takes, where it runs, and the container
// that it becomes. It is pure. package run looks templates up in a Catalogue when it compiles a snapshot, the worker
// renders them when it makes a job.
package template

import "github.com/millrace-ci/millrace/agent/param"

// Template is one version of a way to do a task.
type Template struct {
	Name        string            `json:"name"`
	Version     string            `json:"version"` // v1
	Description string            `json:"description"`
	Readme      string            `json:"readme,omitempty"` // Markdown
	RunsOn      []string          `json:"runs_on"`          // kinds of runner: local, kube
	Params      []param.Decl      `json:"params"`
	Open        bool              `json:"open,omitempty"`    // takes the pipeline's parameters that it does not declare as environment
	Outputs     map[string]string `json:"outputs,omitempty"` // what the parts of a message that is no dotenv are called, by name; see runners.Part
	Container   Container         `json:"container"`
}

// Container is the process that a task becomes. ${NAME} in a scalar stands for the value of a parameter or of a system
// parameter, and $${NAME} for ${NAME} itself; values are put into parsed scalars and never read again, so that no value
// becomes code (C4).
type Container struct {
	Image    string            `json:"image"`
	Command  []string          `json:"command"` // each is one argument, also when it is empty
	Args     []Arg             `json:"args,omitempty"`
	Env      map[string]string `json:"env,omitempty"`
	EnvFrom  []string          `json:"env_from,omitempty"` // names of Map parameters whose entries become environment
	Volumes  []Volume          `json:"volumes,omitempty"`
	Files    map[string]string `json:"files,omitempty"`     // small texts, by absolute path
	Root     bool              `json:"root,omitempty"`      // it must run as root
	Shell    bool              `json:"shell,omitempty"`     // its image has a POSIX shell
	APIToken bool              `json:"api_token,omitempty"` // it speaks to the cluster as the service account that it is given, if it is
}

// Arg is one argument behind the command, or one for each item of a parameter. One whose references are all empty is
// left out.
type Arg struct {
	Text   string `json:"text,omitempty"`   // with Each: ${EACH} in it stands for the item, KEY=ITEM of a Map
	Flag   string `json:"flag,omitempty"`   // with Each, instead of Text: FLAG=ITEM, FLAG=KEY=ITEM of a Map
	Each   string `json:"each,omitempty"`   // name of a List or Map
	When   string `json:"when,omitempty"`   // name of a parameter, a system one too: left out if that is empty or false
	Unless string `json:"unless,omitempty"` // name of a parameter, a system one too: left out if that is neither
}

// Volume is a secret as files.
type Volume struct {
	Secret string            `json:"secret"` // name of a Secret parameter; one without a value makes no volume
	Path   string            `json:"path"`
	As     map[string]string `json:"as,omitempty"` // what an entry's file is called, where not by the entry's own name
}

// Ref is how a pipeline names the template: script@v1.
func (t Template) Ref() string { return t.Name + "@" + t.Version }

// Catalogue is the templates that there are, by Ref.
type Catalogue map[string]Template
