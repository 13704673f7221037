package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/queue"
)

// line is one of the agent's lines, as far as its dead are concerned.
type line struct {
	name   string
	dead   func(ctx context.Context, cursor string, limit int) ([]queue.Dead[run.Reference], string, error)
	again  func(ctx context.Context, id string) error // wants it anew
	forget func(ctx context.Context, id, token string) error
}

// lines are those in which something may have been given up, in flow order: deliveries, attempts by runner, tellings. The
// runners are those of this process, and those that others had, or have.
func (a *Agent) lines(ctx context.Context) ([]line, error) {
	var runners []string
	if a.cfg.Queues.Buried != nil {
		var err error
		if runners, err = a.cfg.Queues.Buried(ctx); err != nil {
			return nil, err
		}
	}
	for _, r := range a.cfg.Runners {
		runners = append(runners, r.Line)
	}
	slices.Sort(runners)
	all := []line{lineOf("plan", a.cfg.Queues.Plan, a.planAgain, func(i queue.Item[string]) run.Reference {
		return run.Reference{Delivery: i.ID}
	})}
	for _, name := range slices.Compact(runners) {
		all = append(all, lineOf("work-"+name, a.cfg.Queues.Work(name), a.workAgain, func(i queue.Item[Attempt]) run.Reference {
			return run.Reference{Run: i.Value.Run, Task: i.Value.Task, Attempt: i.Value.Attempt}
		}))
	}
	return append(all, lineOf("report", a.cfg.Queues.Report, a.reportAgain, func(i queue.Item[string]) run.Reference {
		return run.Reference{Run: i.ID}
	})), nil
}

func lineOf[T any](name string, q queue.Queue[T], again func(context.Context, string) error, refer func(queue.Item[T]) run.Reference) line {
	dead := func(ctx context.Context, cursor string, limit int) ([]queue.Dead[run.Reference], string, error) {
		found, next, err := q.Dead(ctx, cursor, limit)
		items := make([]queue.Dead[run.Reference], len(found))
		for i, d := range found {
			about := refer(d.Item)
			about.Line = name
			items[i] = queue.Dead[run.Reference]{
				Item: queue.Item[run.Reference]{ID: d.Item.ID, Value: about}, Token: d.Token, Why: d.Why, Tries: d.Tries, Pushed: d.Pushed, Buried: d.Buried,
			}
		}
		return items, next, err
	}
	return line{name, dead, again, q.Forget}
}

// Dead lists what was given up, line by line and in each the last first: at most limit, beginning after cursor. next is
// "" at the end. Errors: queue.ErrCursor.
func (a *Agent) Dead(ctx context.Context, cursor string, limit int) (items []queue.Dead[run.Reference], next string, err error) {
	lines, err := a.lines(ctx)
	if err != nil {
		return nil, "", err
	}
	name, place, _ := strings.Cut(cursor, "/")
	first := 0
	if cursor != "" {
		if first = slices.IndexFunc(lines, func(l line) bool { return l.name == name }); first < 0 {
			return nil, "", fmt.Errorf("list the dead from %q: %w", cursor, queue.ErrCursor)
		}
	}
	for _, l := range lines[first:] {
		if len(items) == limit {
			return items, l.name + "/", nil
		}
		found, more, err := l.dead(ctx, place, limit-len(items))
		if err != nil {
			return nil, "", err
		}
		items, place = append(items, found...), ""
		if more != "" {
			return items, l.name + "/" + more, nil
		}
	}
	return items, "", nil
}

// Retry does again what was given up: a delivery is planned, a run's present state is told. It is forgotten as dead last,
// so that a crash leaves it in the list, where retrying it once more does no harm; one that is given up again meanwhile
// stays. Errors: queue.ErrNotFound, run.ErrStale
// for an attempt, inbox.ErrNotFound or store.ErrNotFound for what is no longer kept.
func (a *Agent) Retry(ctx context.Context, name, id string) error {
	l, token, err := a.buried(ctx, name, id)
	if err != nil {
		return err
	}
	if err := l.again(ctx, id); err != nil {
		return fmt.Errorf("retry %s of line %s: %w", id, name, err)
	}
	a.cfg.Log.InfoContext(ctx, "item retried that was given up", "line", name, "item", id)
	if err := l.forget(ctx, id, token); !errors.Is(err, queue.ErrNotFound) {
		return err
	}
	return nil
}

// Forget takes an item off the list of what was given up. Errors: queue.ErrNotFound.
func (a *Agent) Forget(ctx context.Context, name, id string) error {
	l, token, err := a.buried(ctx, name, id)
	if err != nil {
		return err
	}
	return l.forget(ctx, id, token)
}

// buried finds the line in whose list of the dead the item is, and which burial it is.
func (a *Agent) buried(ctx context.Context, name, id string) (l line, token string, err error) {
	lines, err := a.lines(ctx)
	if err != nil {
		return line{}, "", err
	}
	for _, l := range lines {
		if l.name != name {
			continue
		}
		for cursor, more := "", true; more; more = cursor != "" {
			items, next, err := l.dead(ctx, cursor, batch)
			if err != nil {
				return line{}, "", err
			}
			if i := slices.IndexFunc(items, func(d queue.Dead[run.Reference]) bool { return d.Item.ID == id }); i >= 0 {
				return l, items[i].Token, nil
			}
			cursor = next
		}
	}
	return line{}, "", fmt.Errorf("%s of line %s: %w", id, name, queue.ErrNotFound)
}

// planAgain has a delivery planned that was settled as failed.
func (a *Agent) planAgain(ctx context.Context, id string) error {
	if err := a.cfg.Inbox.Reopen(ctx, id); err != nil {
		return err
	}
	return a.PushDeliveries(ctx, id)
}

// reportAgain has a run's state told to those whom it was given up to tell.
func (a *Agent) reportAgain(ctx context.Context, id string) error {
	r, err := a.cfg.Runs.Load(ctx, id)
	if err != nil {
		return err
	}
	for _, t := range r.GivenUp() {
		if r, err = a.apply(ctx, r, run.Retell{To: t.To, At: a.now()}); err != nil {
			return err
		}
	}
	return nil
}

// workAgain refuses: an attempt that was given up has ended as lost, and never starts again.
func (a *Agent) workAgain(context.Context, string) error {
	return fmt.Errorf("the attempt has ended: %w", run.ErrStale)
}
