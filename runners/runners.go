// Package runners is the room that does: Runner makes sure that a Job exists, waits for its Result, and ends it. The
// agent's worker drives a runner by these three verbs; local and kube keep the contract, runnertest holds its laws.
// Failure is a value (a Result); an error is ignorance: we could not find out, and somebody may ask again.
package runners

import (
	"context"
	"errors"
	"io"
	"time"
)

// Errors that a Runner returns, wrapped.
var (
	// ErrRefused means that this runner will never take this job as it is (its policy, a missing power). The text is
	// for the author of the task. The worker makes it the attempt's Result.
	ErrRefused = errors.New("refused by the runner")
	// ErrStopped means that Stop came before Start: the job is not made, now or later.
	ErrStopped = errors.New("stopped before it started")
)

// Runner runs jobs somewhere. All methods are safe for concurrent use, also by several processes.
type Runner interface {
	// Start makes sure that the job exists and returns its uid: a name for this very making of it, which no second
	// making shares. Called again with the same job.ID, by anybody, it makes nothing and returns the same uid, also
	// when the job has ended. It returns as soon as a later Wait cannot miss the job. Errors: ErrRefused, ErrStopped.
	Start(ctx context.Context, job Job) (uid string, err error)
	// Wait copies the job's output to log from its first byte, in order, and returns how the job ended. It may be
	// called any number of times, by anybody. A job that is not found under this id and uid is Result{Class: Lost}.
	// Ending ctx only stops the watching: Wait returns ctx's error and the job goes on.
	Wait(ctx context.Context, id, uid string, log Log) (Result, error)
	// Stop ends the job, if there is one, and returns when it is gone; a Start that comes later makes nothing. Stopping
	// what has ended, or never was, is no error.
	Stop(ctx context.Context, id string) error
}

// Sweeper is the power of a Runner that keeps something of ended jobs.
type Sweeper interface {
	// Sweep removes what is left of ended and stopped jobs that keep does not want, and tells how many they were. keep
	// must want every job that may still be started, waited for or stopped. A job that runs is never touched.
	Sweep(ctx context.Context, keep func(id string) bool) (int, error)
}

// Log is where a job's output goes. It is a type of its own because it is where a runner will tell which values are to
// be hidden, once tasks are given secrets.
type Log interface {
	io.Writer
}

// Job is one attempt of a task, in words that every runner understands.
type Job struct {
	ID      string // see JobID
	Run     string
	Task    string
	Attempt int

	Source  Source
	Image   string            // container image; a runner without containers says in the log that it is not used
	Command []string          // argv
	Env     map[string]string // values are data, never code
	Event   []byte            // the event as JSON; the runner puts it into a file and names that MILLRACE_EVENT
	Timeout time.Duration     // from the start of the command, 0 = none
	Grace   time.Duration     // between asking the command to end and ending it
}

// Source is the commit that the job works on. The runner brings it to the working directory before the command starts.
type Source struct {
	URL      string // http, https, ssh; "": the job gets an empty working directory
	Username string
	Password string // never in the command's environment, in a log or in Redis
	Ref      string // where the commit is found, when the server does not give out bare commits
	Commit   string
}

// Class says how a job ended.
type Class string

// The classes. Only Succeeded is success.
const (
	Succeeded      Class = "succeeded"
	Failure        Class = "failure"        // the command ended with an exit code other than 0, or its output is not valid
	Timeout        Class = "timeout"        // it ran longer than Job.Timeout
	Canceled       Class = "canceled"       // Stop ended it
	Infrastructure Class = "infrastructure" // the command never started: no source, no image, no room
	Lost           Class = "lost"           // it was made and is not there any more, nobody can say how it ended
	Refused        Class = "refused"        // see ErrRefused
)

// Result is how one attempt ended.
type Result struct {
	Class     Class             `json:"class"`
	ExitCode  int               `json:"exit_code"`         // of the command, -1 when there is none
	Reason    string            `json:"reason,omitempty"`  // one line for people, "" for a plain success
	Outputs   map[string]string `json:"outputs,omitempty"` // what it wrote to MILLRACE_OUTPUT
	Summary   string            `json:"summary,omitempty"` // Markdown that it wrote to MILLRACE_SUMMARY
	StartedAt time.Time         `json:"started_at"`        // when the command started, zero if it never did
	EndedAt   time.Time         `json:"ended_at"`
}
