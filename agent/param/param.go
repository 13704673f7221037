// Package param is what parameters are: how a template declares them (Decl), what a file or a person gives (Given), in
// which order the givers count (Resolve), and what came out, with its origin (Setting). It is pure. package pipeline
// reads Givens from files, package template declares, package run resolves when it compiles a snapshot.
package param

// Type is what values a parameter takes.
type Type string

// The types so far.
const (
	Text    Type = "text"
	Boolean Type = "boolean"
	Number  Type = "number"
	Enum    Type = "enum"   // one of Options
	List    Type = "list"   // of texts
	Map     Type = "map"    // of names to texts
	Secret  Type = "secret" // a reference to one of the operator's secrets, never a value
)

// Use is where a value goes.
type Use string

// The uses so far.
const (
	UseEnv      Use = "env"      // an environment variable of the task, under the parameter's name
	UseTemplate Use = "template" // only where the template says ${NAME}
	UseRunner   Use = "runner"   // what the job asks of its runner; no output sets it
)

// Case is something that can be so when a task is planned: the kind of its runner, such as kube, or InRequest.
type Case string

// InRequest is the case where the event is of a pull (merge) request.
const InRequest Case = "request"

// Decl declares a parameter.
type Decl struct {
	Name        string         `json:"name"`
	Description string         `json:"description,omitempty"`
	Type        Type           `json:"type"`
	Use         Use            `json:"use"`
	Required    bool           `json:"required,omitempty"`
	Default     *Value         `json:"default,omitempty"`
	DefaultIn   map[Case]Value `json:"default_in,omitempty"` // over Default, where one of these is the case
	Example     string         `json:"example,omitempty"`
	Options     []string       `json:"options,omitempty"`     // of an Enum, or what a List may hold
	Form        Form           `json:"form,omitempty"`        // what the text, or each item of a List, looks like
	ReadOnly    bool           `json:"read_only,omitempty"`   // one that has a value keeps it
	FromOutput  bool           `json:"from_output,omitempty"` // an earlier task's output of this name sets it
	Secrets     bool           `json:"secrets,omitempty"`     // of a Map: its items may be references to secrets
	Deprecated  string         `json:"deprecated,omitempty"`  // what to use instead
}

// Value is the value of a parameter: exactly one field is set.
type Value struct {
	Null   bool             `json:"null,omitempty"` // clears a default
	Text   *string          `json:"text,omitempty"` // also a boolean ("true", "false") and a number, as written
	List   []Value          `json:"list,omitzero"`  // of Text and Output
	Map    map[string]Value `json:"map,omitzero"`   // of Text, Output and Secret
	Output *Output          `json:"output,omitempty"`
	Secret *SecretRef       `json:"secret,omitempty"`
}

// Output refers to an output of an earlier task of the same run, written {output: image.IMAGE}.
type Output struct {
	Task string `json:"task"`
	Name string `json:"name"`
}

// SecretRef refers to one of the operator's secrets, written {secret: harbor} or, for one entry of it, {secret:
// harbor/config.json}. What it stands for only the runner ever reads.
type SecretRef struct {
	Name string `json:"name"`
	Key  string `json:"key,omitempty"`
}

// Pos is a place in a file, both from 1. The zero Pos is no place.
type Pos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// Given is one value that somebody gave.
type Given struct {
	Name  string `json:"name"`
	Value Value  `json:"value"`
	Pos   Pos    `json:"-"`
}

// Layer is one giver. Origin says who in words for people: "pipeline release", "task unit".
type Layer struct {
	Origin string
	Given  []Given
}

// Setting is a parameter that has a value, and where it came from.
type Setting struct {
	Name   string `json:"name"`
	Value  Value  `json:"value"`
	Use    Use    `json:"use"`
	Origin string `json:"origin"`
}

// Problem is a mistake of an author.
type Problem struct {
	Pos     Pos
	Message string
}
