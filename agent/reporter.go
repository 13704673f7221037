package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	doubtful := map[string]bool{} // listeners that an earlier try may have been telling
	for t, ok := p.next(r); ok; t, ok = p.next(r) {
		doubtful[t.To] = true
		told, failed := p.tellOnce(ctx, r, t)
		if !told.At.IsZero() {
			if r, err = p.save(ctx, r, told); err != nil {
				return errors.Join(failed, fmt.Errorf("save telling: %w", err))
			}
		}
		if failed != nil {
			return failed
		}
	}
	if lost := r.GivenUp(); len(lost) > 0 {
		return hopeless{lost[0].Error}
	}
	if l.Tries > 1 && r.State.Final() {
		p.confirm(ctx, r, doubtful)
	}
	return nil
}

// next is what is to be told of a run now.
func (p *reporter) next(r run.Run) (run.Tell, bool) {
	for _, t := range r.Untold() {
		if p.due(r, t) == 0 {
			return t, true
		}
	}
	return run.Tell{}, false
}

// save saves what was told. It does so also when the lease was lost while the forge took its time: then somebody else
// may have told more meanwhile, which this has overwritten, and the run has to be told once more.
func (p *reporter) save(ctx context.Context, r run.Run, told run.Told) (run.Run, error) {
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return p.apply(end, r, told)
}

// confirm tells a final run's doubtful listeners once more after a while. When the item was tried before, that try may
// still be on its way (its worker was killed, or ran out of patience), and may reach the forge after ours and overwrite
// it. What was recorded before this lease, after one try, was answered, and is in no doubt. It holds up nothing, and asks no forge that
// wants to be left alone.
func (p *reporter) confirm(ctx context.Context, r run.Run, doubtful map[string]bool) {
	forge := r.Plan.Event.Forge
	p.alarms.set("confirm "+r.Plan.ID, confirmAfter, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		for _, t := range r.Listeners() {
			tried := func(o run.Told) bool { return o.To == t.To && o.State == t.State && o.Tries > 1 }
			if !doubtful[t.To] && !slices.ContainsFunc(r.Told, tried) {
				continue
			}
			if p.left(forge) > 0 {
				return
			}
			_, _, err := p.speak(ctx, r, t)
			if busy := (later{}); errors.As(err, &busy) {
				continue // Who changes the runs tells of them.
			}
			if err != nil {
				p.leave(forge, min(report.Wait(err), longestWait))
				p.cfg.Log.WarnContext(ctx, "status told, but not confirmed", "run", r.Plan.ID, "listener", t.To, "err", err)
			}
		}
	})
}

// tellAgain looks once more after the item was acknowledged: a state that came between the last look and the
// acknowledgement found the run in line still. One that is not due yet waits beside the line, so that the end of the
// run, which is due at once, does not wait behind it.
func (p *reporter) tellAgain(ctx context.Context, id string) {
	r, err := p.cfg.Runs.Load(ctx, id)
	if err != nil {
		return
	}
	untold := r.Untold()
	if len(untold) == 0 {
		return
	}
	left := p.due(r, untold[0])
	for _, t := range untold[1:] {
		left = min(left, p.due(r, t))
	}
	if left > 0 {
		p.alarms.set(id, left, func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			p.perform(ctx, r, []run.Effect{run.Tell{}})
		})
		return
	}
	p.perform(ctx, r, r.Outstanding())
}

// due is how long a telling of the run is to wait still.
func (p *reporter) due(r run.Run, t run.Tell) time.Duration {
	return report.Due(report.State(t.State), r.ToldAt(t.To), p.cfg.Now())
}

// tellOnce tells one listener and returns the record of it, which has no time where it was not tried. Its error means
// that the try is to be repeated.
func (p *reporter) tellOnce(ctx context.Context, r run.Run, t run.Tell) (run.Told, error) {
	forge := r.Plan.Event.Forge
	if left := p.left(forge); left > 0 {
		return run.Told{}, later{left}
	}
	begun := p.cfg.Now()
	n, answer, err := p.speak(ctx, r, t)
	if busy := (later{}); err != nil && (ctx.Err() != nil || n.Forge == "" || errors.As(err, &busy)) {
		return run.Told{}, err
	}
	told := p.record(t, n, answer)
	told.At, told.Took = p.now(), p.cfg.Now().Sub(begun).Truncate(time.Millisecond)
	switch {
	case err == nil:
		p.well(forge)
		p.cfg.Metrics.NoticeTold("told")
		p.cfg.Log.InfoContext(ctx, "status told", "run", r.Plan.ID, "listener", t.To, "state", n.State, "forge", forge)
	case report.IsOmitted(err):
		p.cfg.Metrics.NoticeTold("left_out")
		told.Answer = p.hide(err.Error())
	case report.IsPermanent(err):
		p.refused(ctx, r, &told, err)
	default:
		p.cfg.Metrics.NoticeTold("retried")
		p.leave(forge, min(report.Wait(err), longestWait))
		told.Error, told.Again = report.Cut(p.hide(err.Error()), maxWords), true
		return told, fmt.Errorf("tell %s: %w", t.To, err)
	}
	return told, nil
}

// giveUp says on the run what was not told of it.
func (p *reporter) giveUp(ctx context.Context, id string, err error) (why string, failed error) {
	r, failed := p.cfg.Runs.Load(ctx, id)
	if failed != nil {
		return "", failed
	}
	for _, t := range r.Untold() {
		n, _ := p.notice(ctx, r, t) // What was to be said is of no more use where it cannot be found out.
		told := p.record(t, n, report.AnswerOf(err))
		told.At = p.now()
		p.refused(ctx, r, &told, err)
		if r, failed = p.apply(ctx, r, told); failed != nil {
			return "", failed
		}
	}
	return p.hide(err.Error()), nil
}

func (p *reporter) refused(ctx context.Context, r run.Run, told *run.Told, err error) {
	p.cfg.Metrics.NoticeTold("given_up")
	p.cfg.Log.ErrorContext(ctx, "status given up", "run", r.Plan.ID, "listener", told.To, "state", told.State, "err", err)
	told.Error = report.Cut(p.hide(err.Error()), maxWords)
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
