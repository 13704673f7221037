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

// Renderer is the power of a Runner that can say beforehand what a job becomes.
type Renderer interface {
	// Render writes what Start would make, as YAML, and makes nothing; it asks nobody. Errors: ErrRefused.
	Render(job Job) ([]byte, error)
}

// Witness is the power of a Runner that sees more of a job than its Result tells.
type Witness interface {
	// Evidence writes what there is of the job now and what was noted about it, as YAML for people who look for the
	// cause. It may be empty: what is gone cannot be asked.
	Evidence(ctx context.Context, id, uid string) ([]byte, error)
}

// Sweeper is the power of a Runner that keeps something of ended jobs.
type Sweeper interface {
	// Sweep removes what is left of ended and stopped jobs that keep does not want, and tells how many they were. keep
	// must want every job that may still be started, waited for or stopped. A job that runs is never touched.
	Sweep(ctx context.Context, keep func(id string) bool) (int, error)
}

// MaxLog bounds what a runner hands on of a job's output in bytes, but for the line that says that the rest is not kept.
// It is a little less than what is kept of a log (agent/logs.MaxSize): so this line is the one that is shown, and no second
// one about another bound.
const MaxLog = 1<<30 - 1<<10

// Log is where a job's output goes, as lines `<RFC 3339 nanoseconds UTC> <container> <text>`.
type Log interface {
	io.Writer
	// Mask tells values that are hidden in all that is written from then on: a runner tells them before the first byte
	// that may hold them. What it has written before a later call are whole lines.
	Mask(values ...string)
	// Resume returns the last whole line that an earlier Wait wrote, without its line break, "" if there is none, and
	// lets Write go on behind it. A runner that does not call it writes from the job's first byte: what the log has of
	// that already is left out.
	Resume() (string, error)
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
	Secrets []Secret          // values that only the runner reads
	Files   map[string][]byte // by absolute path in the container: small things that are no secret
	Event   []byte            // the event as JSON; the runner puts it into a file and names that MILLRACE_EVENT
	Outputs map[string]Part   // how a message that is no dotenv becomes outputs, see ParseMessage; none: it is dotenv
	Timeout time.Duration     // from the start of the command, 0 = none
	Grace   time.Duration     // between asking the command to end and ending it
	Pod     Pod
}

// Pod is what a job asks of a cluster. A runner that has none passes over it; one that has checks it against what its
// operator allows. The zero Pod asks for nothing.
type Pod struct {
	ServiceAccount string
	APIToken       bool   // the command speaks to the cluster's API as the service account
	Root           bool   // the command must be root: Pod Security 'baseline' instead of 'restricted'
	Shell          bool   // the image has a POSIX shell at /bin/sh, so that a summary can be brought home
	CPU, Memory    string // Kubernetes quantities, requested and not to be exceeded; "": the operator's default
	NodeSelector   map[string]string
	Tolerations    []string // KEY, KEY=VALUE, KEY:EFFECT or KEY=VALUE:EFFECT
}

// Secret is something that its operator keeps and a job is given, as an environment variable or as files. It stands for
// the values; those never leave the runner.
type Secret struct {
	Name string            // as the operator calls it, for messages
	From Keeper            // where it is kept
	Key  string            // one entry of it; "": all of them, as files only
	Env  string            // the environment variable that it becomes, or
	Path string            // the absolute path of the folder in which each entry is a file
	As   map[string]string // what an entry's file is called, where not by the entry's own name
}

// Keeper is where a secret is kept. One field is set.
type Keeper struct {
	Kubernetes string   // NAMESPACE/NAME of a Secret
	File       string   // of dotenv form, at the host of the runner
	Env        []string // environment variables of the runner's process; each is an entry by its name
}

// Source is the commit that the job works on. The runner brings it to the working directory before the command starts.
type Source struct {
	URL      string // http, https, ssh; "": the job gets an empty working directory
	Username string
	Password string  // never in the command's environment, in a log or in Redis
	Key      *Secret // for ssh: its entries are `ssh-privatekey` or `id_rsa`, and `known_hosts`
	Ref      string  // where the commit is found, when the server does not give out bare commits
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
	Infrastructure Class = "infrastructure" // the command never started (no source, no image, no room: StartedAt is zero), or the cluster ended it (eviction)
	Lost           Class = "lost"           // it was made and is not there any more, nobody can say how it ended
	Refused        Class = "refused"        // see ErrRefused; also when only the place where it was to run could tell: no such image, secret or account
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
