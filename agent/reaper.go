package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/queue"
)

// reapItem is the one item in the reaping line. Every planning agent keeps putting it there, one holds it, and when that
// one dies its lease runs out: no second kind of lock is needed.
const reapItem = "reap"

// batch is how much the reaper reads at a time.
const batch = 500

func (a *Agent) reaping() *loop[string] {
	return &loop[string]{
		name: "reaper", queue: a.cfg.Queues.Reap, worker: a.cfg.Name, slots: 1,
		lease: a.cfg.LeaseTime, pause: a.cfg.LeaseTime, handle: a.reap, log: a.cfg.Log,
	}
}

// keepInLine keeps the one item of a line in it, so that somebody holds it even after Redis lost what it held.
func (a *Agent) keepInLine(intake context.Context, line queue.Queue[string], item string) error {
	for {
		err := line.Push(intake, queue.Item[string]{ID: item, Value: item})
		if err != nil && intake.Err() == nil {
			a.cfg.Log.WarnContext(intake, "item not put in line", "item", item, "err", err)
		}
		if !wait(intake, a.cfg.LeaseTime) {
			return nil
		}
	}
}

// reap heals: whatever a crash left undone is in the list of unplanned deliveries or outstanding in a live run. What
// cannot be healed does not keep the rest from it.
func (a *Agent) reap(_, ctx context.Context, _ queue.Lease[string]) error {
	return errors.Join(a.reapDeliveries(ctx), a.reapRuns(ctx), a.trim(ctx))
}

// trimEvery is how often what is old is forgotten: looking for it costs more than finding what is undone.
const trimEvery = 10 * time.Minute

// trim forgets old deliveries and runs when it is time again, or more of them were left the last time. Only the loop of
// the reaper calls it, one at a time.
func (a *Agent) trim(ctx context.Context) error {
	now := a.cfg.Now()
	if now.Sub(a.trimmed) < trimEvery {
		return nil
	}
	if _, err := a.cfg.Inbox.Trim(ctx, now.Add(-a.cfg.KeepFor), a.cfg.KeepBytes); err != nil {
		return fmt.Errorf("trim deliveries: %w", err)
	}
	all, err := a.forgetRuns(ctx)
	if all && err == nil {
		a.trimmed = now
	}
	return err
}

// reapDeliveries puts the oldest unplanned deliveries in line again; the line itself refuses those that are in it.
func (a *Agent) reapDeliveries(ctx context.Context) error {
	ids, err := a.cfg.Inbox.Unplanned(ctx, batch)
	if err != nil {
		return fmt.Errorf("reap deliveries: %w", err)
	}
	a.cfg.Metrics.Unplanned(len(ids))
	if len(ids) == 0 {
		return nil
	}
	return a.PushDeliveries(ctx, ids...)
}

// PushDeliveries puts kept deliveries in line to be planned, in one round trip.
func (a *Agent) PushDeliveries(ctx context.Context, ids ...string) error {
	items := make([]queue.Item[string], len(ids))
	for i, id := range ids {
		items[i] = queue.Item[string]{ID: id, Value: id}
	}
	return a.cfg.Queues.Plan.Push(ctx, items...)
}

func (a *Agent) reapRuns(ctx context.Context) error {
	live, unreadable, lanes := 0, 0, map[string]bool{}
	for cursor, more := "", true; more; more = cursor != "" {
		ids, next, err := a.cfg.Runs.Live(ctx, cursor, batch)
		if err != nil {
			return fmt.Errorf("reap runs: %w", err)
		}
		for _, id := range ids {
			if err := a.reapRun(ctx, id, lanes); err != nil {
				if errors.Is(err, store.ErrUnreadable) {
					unreadable++
				}
				a.cfg.Log.WarnContext(ctx, "run not healed", "run", id, "err", err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		cursor, live = next, live+len(ids)
	}
	a.cfg.Metrics.LiveRuns(live, unreadable)
	for lane := range lanes {
		if err := a.admit(ctx, lane); err != nil {
			a.cfg.Log.WarnContext(ctx, "lane not healed", "lane", lane, "err", err)
		}
	}
	return nil
}

// reapRun is the sentence that heals: for every live run, carry out what is outstanding. The lane that it waits for is
// only noted, to be looked at once for all who do.
func (a *Agent) reapRun(ctx context.Context, id string, lanes map[string]bool) error {
	r, err := a.cfg.Runs.Load(ctx, id)
	if err != nil {
		return err
	}
	if r, err = a.expire(ctx, r); err != nil {
		return err
	}
	effects, held := withoutLane(r.Outstanding())
	if held {
		lanes[r.Plan.Lane.Name] = true
	}
	a.perform(ctx, r, effects)
	return nil
}

// expire tells a run whose deadline has passed that it has. Who watches one of its jobs does it in time; the reaper does
// it for the others.
func (a *Agent) expire(ctx context.Context, r run.Run) (run.Run, error) {
	if d := r.Deadline(); d.IsZero() || a.cfg.Now().Before(d) || r.Ending != nil {
		return r, nil
	}
	return a.apply(ctx, r, run.Expired{At: a.now()})
}

// now is the time that facts carry: UTC and milliseconds, which is what is stored and shown.
func (a *Agent) now() time.Time { return a.cfg.Now().UTC().Truncate(time.Millisecond) }
