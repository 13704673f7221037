// Package run is the life of one run, and the heart of the house. A Run is a value; Apply tells it a Fact and returns
// the whole next Run with the Effects that it wants, or an error and nothing. The package asks no clock, touches no
// socket and starts no goroutine: the loops in package agent tell it what happened and carry out what it wants, and
// package store keeps it. Compile makes what a run is made of, its Snapshot.
package run

import (
	"time"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/triggers"
)

// State is where a task or a run is in its life. docs/run-states.md draws it.
type State string

// The states. The last four are final.
const (
	Pending   State = "pending"   // not its turn
	Waiting   State = "waiting"   // its turn, but held; of a run: nothing has started
	Queued    State = "queued"    // in line
	Running   State = "running"   //
	Canceling State = "canceling" // its job is being ended
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Canceled  State = "canceled"
	Skipped   State = "skipped"
)

// Final tells whether nothing follows.
func (s State) Final() bool {
	return s == Succeeded || s == Failed || s == Canceled || s == Skipped
}

// Snapshot is all that a run was made of. It is written once and never changes.
type Snapshot struct {
	ID        string             `json:"id"` // see ID
	Event     triggers.Event     `json:"event"`
	Cause     Cause              `json:"cause"`
	Pipeline  string             `json:"pipeline"`
	Context   string             `json:"context,omitempty"` // what follows the pipeline in the name of its status: "/push"
	File      string             `json:"file"`
	Version   string             `json:"version,omitempty"` // names what is built, see pipeline.Pipeline.VersionOf
	Status    pipeline.Status    `json:"status,omitzero"`   // what is told of it beside its own state
	Timeout   time.Duration      `json:"timeout,omitempty"` // from the start of the run, 0 = none
	Lane      *LanePlan          `json:"lane,omitempty"`    // nil: it waits for no other run
	Stages    []StagePlan        `json:"stages"`
	Problems  []pipeline.Problem `json:"problems,omitempty"` // the definition cannot be read: the run is failed from the start
	Skip      string             `json:"skip,omitempty"`     // why nothing is to be run: the run is skipped from the start
	CreatedAt time.Time          `json:"created_at"`
}

// Cause is what a run came from.
type Cause struct {
	Kind string `json:"kind"`         // delivery, replay, person
	ID   string `json:"id,omitempty"` // of that delivery, or of the one that is replayed
}

// StagePlan is one stage of a snapshot.
type StagePlan struct {
	Name     string     `json:"name"`
	Parallel bool       `json:"parallel,omitempty"`
	Tasks    []TaskPlan `json:"tasks"`
}

// TaskPlan is one task of a snapshot, with everything decided that can be decided before it starts.
type TaskPlan struct {
	Name         string            `json:"name"`
	Template     template.Template `json:"template"`
	Settings     []param.Setting   `json:"settings,omitempty"`
	Runner       string            `json:"runner"` // name of the configured runner
	Line         string            `json:"line"`   // name of the queue whose workers can do it
	Timeout      time.Duration     `json:"timeout,omitempty"`
	IgnoreFailed bool              `json:"ignore_failed,omitempty"`
	Retry        pipeline.Retry    `json:"retry,omitzero"`
	DryRun       bool              `json:"dry_run,omitempty"` // it is rehearsed: no job
}

// ID names the run that an event makes of a pipeline file: 20 characters of [a-z2-7]. Planning an event twice gives
// the same ids, so that the store can refuse the second.
func ID(event, file string) string { return triggers.Digest(20, "run", event, file) }

// Run is the state of one run. The zero Run is none; New makes them, Apply moves them.
type Run struct {
	Plan    *Snapshot // shared and never changed
	Version int       // how often it was saved; the store compares it

	State      State
	Reason     string    // why it failed, was canceled or skipped, or what it waits for; "" otherwise
	AdmittedAt time.Time // when its lane let it start, zero for a run without one
	StartedAt  time.Time // when its first task started
	EndedAt    time.Time
	Ending     *Ending // set once somebody or something ends it early
	Tasks      []Task  // in the order of the plan
	Told       []Told  // who was told what, see Told; the last of a listener says what it knows
	ToldBefore int     // how many older ones of Told are not kept
}

// Ending says that a run is ended before its time.
type Ending struct {
	State  State     `json:"state"` // what its live tasks become: Canceled, or Failed for a timeout
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Task is the state of one task.
type Task struct {
	Name      string            `json:"-"`
	Stage     int               `json:"-"` // index of its stage in the plan
	Place     int               `json:"-"` // index in the stage
	State     State             `json:"state"`
	Reason    string            `json:"reason,omitempty"`
	Attempt   int               `json:"attempt"` // from 1; 0 before the first is queued
	Worker    string            `json:"worker,omitempty"`
	UID       string            `json:"uid,omitempty"` // of the attempt's job, once it is known to exist
	QueuedAt  time.Time         `json:"queued_at,omitzero"`
	StartedAt time.Time         `json:"started_at,omitzero"`
	EndedAt   time.Time         `json:"ended_at,omitzero"`
	Class     runners.Class     `json:"class,omitempty"`
	ExitCode  *int              `json:"exit_code,omitempty"`
	Outputs   map[string]string `json:"outputs,omitempty"`
	Summary   string            `json:"summary,omitempty"`
	Ignored   bool              `json:"ignored,omitempty"` // it failed and the run goes on
	DueAt     time.Time         `json:"due_at,omitzero"`   // while it waits: when the attempt may start
	Past      []Past            `json:"past,omitempty"`    // its earlier attempts, in order
}

// Past is an attempt that ended and was followed by another.
type Past struct {
	Attempt   int           `json:"attempt"`
	Free      bool          `json:"free,omitempty"` // the one that followed did not count as a retry of the author's
	UID       string        `json:"uid,omitempty"`
	StartedAt time.Time     `json:"started_at,omitzero"`
	EndedAt   time.Time     `json:"ended_at"`
	Class     runners.Class `json:"class"`
	ExitCode  int           `json:"exit_code"`
	Reason    string        `json:"reason,omitempty"`
}
