// Package pipeline is what a repository asks for: Decode reads a definition strictly, Match decides whether it wants an
// event and explains why. It is pure: the planner gives it bytes and events. It knows nothing of templates: whether a
// task's parameters are declared is checked where both are known, in package run.
package pipeline

import (
	"fmt"
	"time"

	"github.com/millrace-ci/millrace/agent/param"
)

// Pipeline is one definition file.
type Pipeline struct {
	Name        string        `json:"name"`
	File        string        `json:"file"`
	On          On            `json:"on"`
	Version     string        `json:"version,omitempty"`    // pattern, see VersionOf; "": DefaultVersion
	Concurrency Concurrency   `json:"concurrency,omitzero"` // see ConcurrencyOf
	Required    bool          `json:"required,omitempty"`   // tell 'not affected' when only the paths do not match
	Both        bool          `json:"both,omitempty"`       // run for a push and for the request of its branch
	Status      Status        `json:"status,omitzero"`      // what is told of it beside its own state
	Timeout     time.Duration `json:"timeout,omitempty"`    // of a run, 0 = none
	Params      []Param       `json:"params,omitempty"`
	Stages      []Stage       `json:"stages"`
}

// On says which events a pipeline wants; nil: none of that kind.
type On struct {
	Push        *PushFilter    `json:"push,omitempty"`
	Tag         *TagFilter     `json:"tag,omitempty"`
	PullRequest *RequestFilter `json:"pull_request,omitempty"`
}

// PushFilter filters pushes to branches. An empty list filters nothing. See Match for how patterns are read.
type PushFilter struct {
	Branches []string `json:"branches,omitempty"`
	Paths    []string `json:"paths,omitempty"`
}

// TagFilter filters tags.
type TagFilter struct {
	Names []string `json:"names,omitempty"`
}

// RequestFilter filters pull (merge) requests. Branches are those they are to be merged into; without Actions: opened,
// synchronize and reopened.
type RequestFilter struct {
	Branches []string `json:"branches,omitempty"`
	Paths    []string `json:"paths,omitempty"`
	Actions  []string `json:"actions,omitempty"`
}

// Param is a parameter that the pipeline gives to those of its tasks whose templates take it.
type Param struct {
	param.Given
	Description string `json:"description,omitempty"`
	Required    bool   `json:"required,omitempty"`
}

// Stage is tasks that stand together: one after another, or all at once.
type Stage struct {
	Name     string        `json:"name"`
	Parallel bool          `json:"parallel,omitempty"`
	With     []param.Given `json:"with,omitempty"`
	Tasks    []Task        `json:"tasks"`
}

// Task is the smallest thing that runs.
type Task struct {
	Name         string        `json:"name"`
	Uses         string        `json:"uses"` // template, script@v1
	UsesPos      param.Pos     `json:"-"`
	With         []param.Given `json:"with,omitempty"`
	Runner       string        `json:"runner,omitempty"`  // "": the default
	Timeout      time.Duration `json:"timeout,omitempty"` // of one attempt, 0 = none
	IgnoreFailed bool          `json:"ignore_failed,omitempty"`
	Retry        Retry         `json:"retry,omitzero"`
	DryRun       bool          `json:"dry_run,omitempty"` // show what would run, and run nothing
	Pos          param.Pos     `json:"-"`
}

// Retry says after which ends of an attempt another follows.
type Retry struct {
	Max     int           `json:"max"`               // attempts beyond the first
	On      []string      `json:"on,omitempty"`      // classes of package runners; none: failure
	Backoff time.Duration `json:"backoff,omitempty"` // before the second attempt, doubled before each later one; 0: the default
}

// Classes is On, or what stands for none.
func (r Retry) Classes() []string {
	if len(r.On) == 0 {
		return []string{"failure"}
	}
	return r.On
}

// Problem is a mistake in a definition. It prints as FILE:LINE:COL: message.
type Problem struct {
	File    string    `json:"file"`
	Pos     param.Pos `json:"pos"`
	Message string    `json:"message"`         // what is wrong and what to write instead
	Quote   string    `json:"quote,omitempty"` // the line, at most 200 bytes
}

func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Pos.Line, p.Pos.Column, p.Message)
}

// Explanation says whether one pipeline wants one event, and the condition and value that decided it.
type Explanation struct {
	Pipeline string `json:"pipeline"` // "" where the file does not say
	File     string `json:"file"`
	Matched  bool   `json:"matched"`
	Reason   string `json:"reason"`
	Required bool   `json:"-"` // not matched by path alone, and the pipeline is required
}
