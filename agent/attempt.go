package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

// start makes the attempt's job unless it is known to exist. It returns a result at once when there is no job to be.
func (w *worker) start(ctx context.Context, r run.Run, at Attempt, log *logWriter) (run.Run, *runners.Result, error) {
	t, plan, _ := r.Task(at.Task)
	if t.UID != "" {
		return r, nil, nil
	}
	job, err := w.Job(r, at)
	if err != nil {
		return r, w.refused(err), nil
	}
	err = w.keepManifest(job, log)
	if errors.Is(err, runners.ErrRefused) {
		return r, w.refused(err), nil
	}
	if err != nil {
		return r, nil, err
	}
	if plan.DryRun {
		res, err := w.rehearse(t.StartedAt, log)
		return r, res, err
	}
	uid, err := w.runner.Start(ctx, job)
	switch {
	case errors.Is(err, runners.ErrRefused):
		return r, w.refused(err), nil
	case errors.Is(err, runners.ErrStopped):
		return r, &runners.Result{Class: runners.Canceled, ExitCode: -1, Reason: err.Error(), EndedAt: w.now()}, nil
	case err != nil:
		return r, nil, fmt.Errorf("start job: %w", err)
	}
	r, err = w.apply(ctx, r, run.Created{Task: at.Task, Attempt: at.Attempt, UID: uid, At: w.now()})
	if err != nil {
		return r, nil, fmt.Errorf("save uid: %w", err)
	}
	w.cfg.Log.InfoContext(ctx, "job created", "run", at.Run, "task", at.Task, "attempt", at.Attempt, "job", job.ID, "uid", uid)
	return r, nil, nil
}

func (w *worker) refused(err error) *runners.Result {
	return &runners.Result{Class: runners.Refused, ExitCode: -1, Reason: err.Error(), EndedAt: w.now()}
}

// await waits for the job's end, copies its log, and stops it when the run is canceled meanwhile. When intake ends it
// only stops watching: whoever leases the attempt next joins the job.
func (w *worker) await(intake, ctx context.Context, r run.Run, at Attempt, log *logWriter) (runners.Result, error) {
	watching, stop := context.WithCancel(ctx)
	defer context.AfterFunc(intake, stop)()
	var canceler sync.WaitGroup
	canceler.Go(func() { w.stopWhenCanceled(watching, at) })
	t, _, _ := r.Task(at.Task)
	res, err := w.runner.Wait(watching, at.job(), t.UID, log)
	stop()
	canceler.Wait()
	switch {
	case err != nil && intake.Err() != nil:
		return res, errHandBack
	case err != nil:
		return res, fmt.Errorf("wait for job: %w", err)
	}
	if err := log.close(); err != nil {
		return res, err
	}
	w.witness(ctx, at, t.UID, log)
	return res, nil
}

// stopWhenCanceled stops the job once the run is to end early, and returns then or when ctx ends.
func (w *worker) stopWhenCanceled(ctx context.Context, at Attempt) {
	changed, end := w.watcher.watch(at.Run)
	defer end()
	for {
		r, err := w.cfg.Runs.Load(ctx, at.Run)
		if err == nil {
			r, err = w.expire(ctx, r)
		}
		if err == nil && r.Ending != nil {
			if err = w.runner.Stop(ctx, at.job()); err == nil {
				return
			}
		}
		var again <-chan time.Time
		switch {
		case err == nil:
			again = w.deadline(r)
		case ctx.Err() == nil:
			w.cfg.Log.WarnContext(ctx, "run not watched, or job not stopped; to be tried again", "run", at.Run, "task", at.Task, "err", err)
			again = time.After(time.Second)
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

// deadline is a channel that gets something when the run expires, never if it does not.
func (w *worker) deadline(r run.Run) <-chan time.Time {
	if d := r.Deadline(); !d.IsZero() && r.Ending == nil {
		return time.After(d.Sub(w.cfg.Now()) + time.Millisecond)
	}
	return nil
}

func (at Attempt) job() string   { return runners.JobID(at.Run, at.Attempt, at.Task) }
func (at Attempt) log() logs.Key { return logs.Key{Run: at.Run, Task: at.Task, Attempt: at.Attempt} }
