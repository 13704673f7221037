package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/queue"
)

const (
	reportSlots  = 16               // notices on their way at once
	tellTries    = 24 * giveUpAfter // a day
	longestWait  = time.Hour        // that a forge may ask for
	confirmAfter = 5 * time.Second  // see confirm
)

// reporter tells forges how runs are.
type reporter struct {
	*Agent

	alarms alarms // for runs whose next telling is not due yet

	mu    sync.Mutex
	alone map[string]rest // forges that are left alone
}

// rest is how a forge is left alone: until when, and how long it was the last time that it failed.
type rest struct {
	until time.Time
	pause time.Duration
}

func (a *Agent) tellAll(intake, work context.Context) error {
	p := &reporter{Agent: a, alone: map[string]rest{}}
	defer p.alarms.stop()
	l := &loop[string]{
		name: "reporter", queue: a.cfg.Queues.Report, worker: a.cfg.Name, slots: reportSlots, lease: a.cfg.LeaseTime,
		handle: p.tell, done: p.tellAgain, tries: tellTries, giveUp: p.giveUp, log: a.cfg.Log,
	}
	return l.run(intake, work)
}

// tell tells the forge the run's state until it is the one that was told last, so that the newest always wins and
// states that are over before they were told are left out. One that is not due yet is told by tellAgain.
func (p *reporter) tell(_, ctx context.Context, l queue.Lease[string]) error {
	r, err := p.cfg.Runs.Load(ctx, l.Item.Value)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load run: %w", err)
	}
	for r.Untold() && p.due(r) == 0 {
		told, err := p.tellOnce(ctx, r)
		if err != nil {
			return err
		}
		if r, err = p.save(ctx, r, told); err != nil {
			return fmt.Errorf("save telling: %w", err)
		}
	}
	for _, told := range r.Told {
		if told.Error != "" {
			return hopeless{told.Error}
		}
	}
	if l.Tries > 1 && r.State.Final() {
		p.confirm(ctx, r)
	}
	return nil
}

// save saves what was told. It does so also when the lease was lost while the forge took its time: then somebody else
// may have told more meanwhile, which this has overwritten, and the run has to be told once more.
func (p *reporter) save(ctx context.Context, r run.Run, told run.Told) (run.Run, error) {
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return p.apply(end, r, told)
}

// confirm tells a final state once more after a while. When the item was tried before, that try may still be on its way
// (its worker was killed, or ran out of patience), and may reach the forge after ours and overwrite it. It holds up
// nothing, and asks no forge that wants to be left alone.
func (p *reporter) confirm(ctx context.Context, r run.Run) {
	forge := r.Plan.Event.Forge
	p.alarms.set("confirm "+r.Plan.ID, confirmAfter, func() {
		if p.left(forge) > 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if err := p.notify(ctx, p.notice(r)); err != nil {
			p.leave(forge, min(report.Wait(err), longestWait))
			p.cfg.Log.WarnContext(ctx, "status told, but not confirmed", "run", r.Plan.ID, "err", err)
		}
	})
}

// tellAgain looks once more after the item was acknowledged: a state that came between the last look and the
// acknowledgement found the run in line still. One that is not due yet waits beside the line, so that the end of the
// run, which is due at once, does not wait behind it.
func (p *reporter) tellAgain(ctx context.Context, id string) {
	r, err := p.cfg.Runs.Load(ctx, id)
	if err != nil || !r.Untold() {
		return
	}
	if left := p.due(r); left > 0 {
		p.alarms.set(id, left, func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			p.perform(ctx, r, []run.Effect{run.Tell{}})
		})
		return
	}
	p.perform(ctx, r, r.Outstanding())
}

// due is how long the telling of the run's state is to wait still.
func (p *reporter) due(r run.Run) time.Duration {
	return report.Due(report.State(r.Telling()), r.ToldAt(), p.cfg.Now())
}

// tellOnce hands one notice to the forge and returns the fact of it. Its error means that the try is to be repeated.
func (p *reporter) tellOnce(ctx context.Context, r run.Run) (run.Told, error) {
	told, forge := run.Told{To: run.StatusListener, State: r.Telling()}, r.Plan.Event.Forge
	if left := p.left(forge); left > 0 {
		return told, later{left}
	}
	err := p.notify(ctx, p.notice(r))
	told.At = p.now()
	switch {
	case err == nil:
		p.well(forge)
		p.cfg.Metrics.NoticeTold("told")
		p.cfg.Log.InfoContext(ctx, "status told", "run", r.Plan.ID, "state", told.State, "forge", forge)
		return told, nil
	case report.IsOmitted(err):
		p.cfg.Metrics.NoticeTold("left_out")
		return told, nil
	case report.IsPermanent(err):
		return p.refused(ctx, r, told, err), nil
	}
	p.cfg.Metrics.NoticeTold("retried")
	p.leave(forge, min(report.Wait(err), longestWait))
	return told, fmt.Errorf("tell status: %w", err)
}

// giveUp says on the run that its state was not told.
func (p *reporter) giveUp(ctx context.Context, id string, err error) (why string, failed error) {
	r, failed := p.cfg.Runs.Load(ctx, id)
	if failed != nil {
		return "", failed
	}
	told := p.refused(ctx, r, run.Told{To: run.StatusListener, State: r.Telling(), At: p.now()}, err)
	_, failed = p.apply(ctx, r, told)
	return told.Error, failed
}

func (p *reporter) refused(ctx context.Context, r run.Run, told run.Told, err error) run.Told {
	p.cfg.Metrics.NoticeTold("given_up")
	p.cfg.Log.ErrorContext(ctx, "status given up", "run", r.Plan.ID, "state", told.State, "err", err)
	told.Error = err.Error()
	return told
}

// leave leaves a forge alone, for all runs: for as long as it asked, else for longer each time that it fails.
func (p *reporter) leave(forge string, asked time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pause := min(max(2*p.alone[forge].pause, time.Second), time.Minute)
	p.alone[forge] = rest{until: p.cfg.Now().Add(max(pause, asked)), pause: pause}
}

// well notes that a forge does what it is asked.
func (p *reporter) well(forge string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.alone, forge)
}

// left is how long a forge is to be left alone still.
func (p *reporter) left(forge string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alone[forge].until.Sub(p.cfg.Now())
}

func (p *reporter) notify(ctx context.Context, n report.Notice) error {
	forge, ok := p.cfg.Forges[n.Forge]
	if !ok {
		return report.Permanent(fmt.Errorf("forge %q is not configured any more", n.Forge))
	}
	return forge.Status.Notify(ctx, n)
}

// notice makes of a run what is told of it.
func (p *reporter) notice(r run.Run) report.Notice {
	state := report.State(r.Telling())
	e := r.Plan.Event
	return report.Notice{
		ID: fmt.Sprintf("%s/%s/%s", r.Plan.ID, run.StatusListener, state), Run: r.Plan.ID,
		Forge: e.Forge, Repo: e.Repo.Name, Commit: e.After, Ref: e.Ref,
		Pipeline: r.Plan.Pipeline, Context: "millrace/" + r.Plan.Pipeline + r.Plan.Context,
		State: state, Text: r.Line(), URL: p.cfg.URL + "/runs/" + r.Plan.ID, At: p.now(),
	}
}
