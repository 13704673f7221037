package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-ci/millrace/agent/mask"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/runners"
)

// worker brings attempts to one runner. It holds the attempt's lease while the job runs; if it dies, the next holder
// joins the job.
type worker struct {
	*Agent
	runner runners.Runner
}

// working makes the loop of one runner's workers.
func (a *Agent) working(name string, r Runner) *loop[Attempt] {
	w := &worker{Agent: a, runner: r.Runner}
	return &loop[Attempt]{
		name: "worker " + name, queue: a.cfg.Queues.Work(r.Line), worker: a.cfg.Name, slots: r.Capacity,
		lease: a.cfg.LeaseTime, handle: w.work, tries: giveUpAfter, giveUp: w.giveUp, log: a.cfg.Log,
	}
}

// work does what the attempt's state asks for: starts its job, joins it, or ends it. The order of saving and doing is
// what makes at most one live job of an attempt: Started is saved before the job is made, its uid after, and Ended
// before the item is acknowledged.
func (w *worker) work(intake, ctx context.Context, l queue.Lease[Attempt]) error {
	w.cfg.Metrics.AttemptHeld(1)
	defer w.cfg.Metrics.AttemptHeld(-1)
	at := l.Item.Value
	r, err := w.cfg.Runs.Load(ctx, at.Run)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load run: %w", err)
	}
	t, _, ok := r.Task(at.Task)
	if !ok || t.State.Final() || t.Attempt != at.Attempt {
		return nil
	}
	if t.State == run.Waiting {
		return w.due(ctx, r, at, t.DueAt)
	}
	first := t.State == run.Queued
	r, err = w.apply(ctx, r, run.Started{Task: at.Task, Attempt: at.Attempt, Worker: w.cfg.Name, At: w.now()})
	if errors.Is(err, run.ErrStale) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("save start: %w", err)
	}
	if t, _, _ = r.Task(at.Task); first {
		w.cfg.Metrics.AttemptStarted(t.StartedAt.Sub(t.QueuedAt))
	}
	w.cfg.Log.InfoContext(ctx, "attempt started", "run", at.Run, "task", at.Task, "attempt", at.Attempt, "joined", !first)
	if t.State == run.Canceling && t.UID == "" {
		return w.stop(ctx, r, at)
	}
	return w.do(intake, ctx, r, at, !first) // which stops a job that is to be canceled, and has its log
}

// due puts an attempt in line whose wait is over, and hands it back until then: a waiting attempt holds no worker. In
// line it is new: how often it was looked at while it waited says nothing of how often it was tried.
func (w *worker) due(ctx context.Context, r run.Run, at Attempt, when time.Time) error {
	if left := when.Sub(w.cfg.Now()); left > 0 {
		return later{left}
	}
	_, err := w.apply(ctx, r, run.Due{Task: at.Task, Attempt: at.Attempt, At: w.now()})
	if err != nil && !errors.Is(err, run.ErrStale) {
		return fmt.Errorf("save that it is due: %w", err)
	}
	return errAnew
}

// giveUp ends an attempt that cannot be brought to its end, once its job is gone for sure. That its log cannot be ended
// may be why, and does not keep the run from its end.
func (w *worker) giveUp(ctx context.Context, at Attempt, err error) (why string, failed error) {
	r, failed := w.cfg.Runs.Load(ctx, at.Run)
	if failed != nil {
		return "", failed
	}
	if err := w.runner.Stop(ctx, at.job()); err != nil {
		return "", fmt.Errorf("stop job: %w", err)
	}
	if err := w.cfg.Logs.End(ctx, at.log()); err != nil {
		w.cfg.Log.WarnContext(ctx, "log of what is given up not ended", "run", at.Run, "task", at.Task, "attempt", at.Attempt, "err", err)
	}
	res := runners.Result{Class: runners.Lost, ExitCode: -1, Reason: "given up: " + err.Error(), EndedAt: w.now()}
	m, failed := w.logOf(ctx, r, at).hide()
	if failed != nil {
		return "", failed
	}
	res = hidden(res, m)
	return res.Reason, w.ended(ctx, r, at, res, nil)
}

// stop ends the job, if there is one, of an attempt that is canceled before its job was known to exist.
func (w *worker) stop(ctx context.Context, r run.Run, at Attempt) error {
	if err := w.runner.Stop(ctx, at.job()); err != nil {
		return fmt.Errorf("stop job: %w", err)
	}
	if err := w.cfg.Logs.End(ctx, at.log()); err != nil {
		return fmt.Errorf("end log: %w", err)
	}
	_, err := w.apply(ctx, r, run.Gone{Task: at.Task, Attempt: at.Attempt, At: w.now()})
	if err != nil && !errors.Is(err, run.ErrStale) {
		return fmt.Errorf("save that the job is gone: %w", err)
	}
	return nil
}

// do makes sure that the attempt has a job, waits for its end and saves it. An attempt that is joined may have a job
// that nobody knows of yet: when it is refused now, that is ended first.
func (w *worker) do(intake, ctx context.Context, r run.Run, at Attempt, joined bool) (err error) {
	log := w.logOf(ctx, r, at)
	defer func() { err = log.conceal(err) }()
	r, res, err := w.start(ctx, r, at, log)
	if err != nil {
		return err
	}
	if _, plan, _ := r.Task(at.Task); joined && !plan.DryRun && res != nil && res.Class == runners.Refused {
		if err := w.runner.Stop(ctx, at.job()); err != nil {
			return fmt.Errorf("stop job that is refused now: %w", err)
		}
	}
	if res == nil {
		return w.finish(intake, ctx, r, at, log)
	}
	m, err := log.hide()
	if err != nil {
		return err
	}
	return w.end(ctx, r, at, hidden(*res, m), nil)
}

// finish waits for the end of the attempt's job and saves it.
func (w *worker) finish(intake, ctx context.Context, r run.Run, at Attempt, log *logWriter) error {
	res, err := w.await(intake, ctx, r, at, log)
	var m *mask.Masker
	if err == nil {
		m, err = log.hide()
	}
	if errors.Is(err, mask.ErrLarge) {
		return w.unhideable(ctx, r, at, err)
	}
	if err != nil {
		return err
	}
	return w.end(ctx, r, at, hidden(res, m), m)
}

// logOf is the attempt's log, which hides what the agent itself gives the attempt.
func (w *worker) logOf(ctx context.Context, r run.Run, at Attempt) *logWriter {
	log := &logWriter{ctx: ctx, logs: w.cfg.Logs, key: at.log(), log: w.cfg.Log}
	log.Mask(w.token(at))
	if from, err := w.access(r.Plan.Event); err == nil {
		log.Mask(string(from.Password))
	}
	return log
}

// end ends the log and saves how the attempt ended.
func (w *worker) end(ctx context.Context, r run.Run, at Attempt, res runners.Result, m *mask.Masker) error {
	if err := w.cfg.Logs.End(ctx, at.log()); err != nil {
		return fmt.Errorf("end log: %w", err)
	}
	return w.ended(ctx, r, at, res, m)
}

// ended saves how the attempt ended, with the outputs that its task has sent up to the moment of saving; see withSent.
func (w *worker) ended(ctx context.Context, r run.Run, at Attempt, res runners.Result, m *mask.Masker) error {
	now := w.now()
	r, err := w.applyTo(ctx, r, func(r run.Run) run.Fact {
		return run.Ended{Task: at.Task, Attempt: at.Attempt, Result: w.withSent(ctx, res, r, at, m), At: now}
	})
	if errors.Is(err, run.ErrStale) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("save end: %w", err)
	}
	t, _, _ := r.Task(at.Task)
	took := t.EndedAt.Sub(t.StartedAt)
	if n := len(t.Past); t.Attempt != at.Attempt && n > 0 {
		took = t.Past[n-1].EndedAt.Sub(t.Past[n-1].StartedAt)
	}
	w.cfg.Metrics.AttemptEnded(string(res.Class), took)
	w.cfg.Log.InfoContext(ctx, "attempt ended", "run", at.Run, "task", at.Task, "attempt", at.Attempt, "class", res.Class, "state", t.State)
	return nil
}
