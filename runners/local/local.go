// Package local runs jobs as processes of this machine, so that they outlive the process that started them: each job has
// a folder, and a keeper (`millrace _job FOLDER`, see Keep) in a session of its own that does the work and writes down
// how it ended. Whoever reads the folder has joined the job. The agent's worker calls it through package runners; it
// calls git, and podman or docker for Config.Engine. It isolates nothing: a task runs as the agent's own user, so it is
// for commits of people who are trusted, and for laptops.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/runners"
)

// Config is how a Runner is set up.
type Config struct {
	Dir     string            // absolute; a job lives in Dir/<job id>
	Command []string          // argv that runs Keep; the job's folder is appended
	InPlace string            // absolute; where set, tasks run in this folder as it is and nothing is checked out
	Engine  string            // podman or docker, see FindEngine; "": images are not used
	Env     map[string]string // what every task finds beside its own environment; PATH, HOME and LANG have defaults

	// Read gives the entries of a secret that is kept in a file or the environment; nil: jobs with secrets are refused.
	// An error wraps runners.ErrRefused where trying again does not help.
	Read func(runners.Keeper) (map[string][]byte, error)
	Log  *slog.Logger
}

// Validate tells all that is wrong with the configuration.
func (c Config) Validate() error {
	var problems []error
	if !filepath.IsAbs(c.Dir) {
		problems = append(problems, fmt.Errorf("dir %q is not an absolute path", c.Dir))
	}
	if len(c.Command) == 0 {
		problems = append(problems, errors.New("command is empty: it must start the keeper"))
	}
	if c.InPlace != "" && !filepath.IsAbs(c.InPlace) {
		problems = append(problems, fmt.Errorf("in place %q is not an absolute path", c.InPlace))
	}
	if c.Log == nil {
		problems = append(problems, errors.New("log is missing"))
	}
	return errors.Join(problems...)
}

// Runner is a runners.Runner, Renderer and Sweeper. Any number of them, in any number of processes, may share a Dir.
type Runner struct {
	cfg Config

	mu      sync.Mutex
	keepers map[int]struct{} // process ids of our children that were not reaped yet
}

var (
	_ runners.Runner   = (*Runner)(nil)
	_ runners.Renderer = (*Runner)(nil)
	_ runners.Sweeper  = (*Runner)(nil)
)

// New makes a Runner and its folder.
func New(cfg Config) (*Runner, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("local runner: %w", err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("local runner: make folder: %w", err)
	}
	return &Runner{cfg: cfg, keepers: map[int]struct{}{}}, nil
}

// startTimeout bounds how long Start waits for a keeper.
const startTimeout = 10 * time.Second

// Start is runners.Runner's. What it makes survives the loss of power.
func (r *Runner) Start(ctx context.Context, job runners.Job) (string, error) {
	if err := r.cfg.check(job); err != nil {
		return "", err
	}
	r.reap()
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errors.New("its keeper did not come up in time"))
	defer cancel()
	for {
		uid, err := r.start(ctx, job)
		if err == nil || errors.Is(err, runners.ErrRefused) {
			return uid, err
		}
		if !errors.Is(err, errBusy) {
			return "", fmt.Errorf("start job %s: %w", job.ID, err)
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("start job %s: %w", job.ID, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond): // Nothing signals a lock that is free again.
		}
	}
}

// start tries once. errBusy: somebody else is at it this moment.
//
// Who may start what is decided by four files, each made whole and never taken back, and by the lock:
//   - job.json comes with the folder, by rename: of many who make it one wins, and the others join.
//   - Keepers are started only by who holds the lock, and inherit it; it is free again when the keeper has ended,
//     however it ended. So there is one keeper at most, and a free lock means that there is none.
//   - A keeper that finds no `stop` writes `started`, both under the lock. It refuses where `started` is there, so a
//     job never starts twice. What has `started` is made.
//   - Stop writes `stop` and then waits until the lock is free. Whoever takes the lock after that finds it. So a stop
//     that finds the lock free without `started` has won for ever, and Start says so only under the lock.
func (r *Runner) start(ctx context.Context, job runners.Job) (string, error) {
	f := r.folder(job.ID)
	if err := f.makeJob(r.order(job), job.Event); err != nil {
		return "", err
	}
	if uid, err := f.made(); uid != "" || err != nil {
		return uid, err
	}
	lock, err := f.take()
	if err != nil {
		return "", err
	}
	defer lock.Close() // The keeper has it too and keeps it.
	if uid, err := f.made(); uid != "" || err != nil {
		return uid, err
	}
	if f.has(stopFile) {
		return "", runners.ErrStopped
	}
	if err := r.spawn(ctx, f, lock, job); err != nil {
		if f.has(stopFile) {
			return "", errBusy // It came in between: ask again, once the keeper has let go.
		}
		return "", err
	}
	return f.made()
}

// order is what the keeper of a job is told.
func (r *Runner) order(job runners.Job) order {
	job.Event, job.Source.Username, job.Source.Password = nil, "", ""
	return order{Version: 1, Job: job, InPlace: r.cfg.InPlace, Engine: r.cfg.Engine, Env: r.cfg.Env}
}

func (r *Runner) folder(id string) folder { return folder(filepath.Join(r.cfg.Dir, id)) }

// Stop is runners.Runner's. A job whose keeper was killed has ended: nothing is killed by a number that may be another
// process's by now.
func (r *Runner) Stop(ctx context.Context, id string) error {
	if !runners.ValidID(id) {
		return nil // Start refuses it.
	}
	f := r.folder(id)
	if err := f.makeStopped(); err != nil {
		return fmt.Errorf("stop job %s: %w", id, err)
	}
	bell := newBell(string(f))
	defer bell.close()
	for {
		r.reap()
		if f.has(exitFile) || !f.kept() {
			return nil
		}
		if err := bell.wait(ctx); err != nil {
			return fmt.Errorf("stop job %s: %w", id, err)
		}
	}
}
