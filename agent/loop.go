package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/queue"
)

// errHandBack is what a handler returns when intake ended: the item goes back in line at once.
var errHandBack = errors.New("handed back")

// errAnew is what a handler returns when the item goes to the end of the line, as one that nobody has tried.
var errAnew = errors.New("in line anew")

// later is what a handler returns when the item is to be tried again, and not before wait has passed. Nothing failed.
type later struct{ wait time.Duration }

func (l later) Error() string { return "to be tried again in " + l.wait.String() }

// hopeless is what a handler returns when trying again cannot help, and it has said so where people see it: the item is
// buried at once.
type hopeless struct{ why string }

func (h hopeless) Error() string { return h.why }

// giveUpAfter is how often an item is tried: an hour, at the pace of backoff with leases of ten seconds.
const giveUpAfter = 360

// loop leases items and handles each in a goroutine of its own: planner, worker, reporter and reaper are loops. A
// handler that returns nil has done its item; with an error the item is free again, later each time.
type loop[T any] struct {
	name   string // of what it does, for the log
	queue  queue.Queue[T]
	worker string
	slots  int // how many items are held at once
	lease  time.Duration
	pause  time.Duration // before the item that a handler did is free again, 0: it is done
	handle handler[T]
	done   func(ctx context.Context, item T) // after an item was acknowledged or buried; nil: nothing
	tries  int                               // after how many the item is given up and buried
	giveUp giveUp[T]                         // nil: it never is
	log    *slog.Logger

	mu   sync.Mutex
	held map[string]holding[T] // by the lease's token
}

// handler does one item. When intake ends it hands back what takes long; when work ends it stops at once.
type handler[T any] func(intake, work context.Context, l queue.Lease[T]) error

// giveUp says where people see it that an item is given up, and returns what it said. When it cannot, the item is tried
// again: what was not said is not over.
type giveUp[T any] func(ctx context.Context, item T, err error) (why string, failed error)

type holding[T any] struct {
	lease  queue.Lease[T]
	cancel context.CancelCauseFunc
}

func (l *loop[T]) run(intake, work context.Context) error {
	l.held = map[string]holding[T]{}
	renewing, stop := context.WithCancel(work)
	var renewer, handlers sync.WaitGroup
	renewer.Go(func() { l.renew(renewing) })
	free := make(chan struct{}, l.slots)
	for range l.slots {
		free <- struct{}{}
	}
	for intake.Err() == nil {
		n := take(intake, free)
		leases := l.leaseUpTo(intake, n)
		for range n - len(leases) {
			free <- struct{}{}
		}
		for _, lease := range leases {
			ctx := l.hold(work, lease)
			handlers.Go(func() {
				err := l.safely(ctx, lease, func() error { return l.handle(intake, ctx, lease) })
				free <- struct{}{} // its end is told while the next item is leased: the two share the server's fsync
				l.finish(ctx, lease, err)
			})
		}
	}
	handlers.Wait()
	stop()
	renewer.Wait()
	return nil
}

// take waits for a free slot and takes all that are free then.
func take(ctx context.Context, free <-chan struct{}) int {
	select {
	case <-free:
	case <-ctx.Done():
		return 0
	}
	for n := 1; ; n++ {
		select {
		case <-free:
		default:
			return n
		}
	}
}

// leaseUpTo leases at most n items. When the queue cannot be asked it waits a second, so that a dead queue is not
// hammered.
func (l *loop[T]) leaseUpTo(intake context.Context, n int) []queue.Lease[T] {
	if n == 0 {
		return nil
	}
	leases, err := l.queue.Lease(intake, l.worker, n)
	if err != nil && intake.Err() == nil {
		l.log.WarnContext(intake, "lease failed", "loop", l.name, "err", err)
		wait(intake, time.Second)
	}
	return leases
}

// wait waits for d or until ctx ends, and tells whether d passed.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// hold notes the lease, and makes the context that its work stands and falls with.
func (l *loop[T]) hold(work context.Context, lease queue.Lease[T]) context.Context {
	ctx, cancel := context.WithCancelCause(work)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[lease.Token] = holding[T]{lease, cancel}
	return ctx
}

// drop ends a holding, and its context with cause. It does nothing for one that was dropped before.
func (l *loop[T]) drop(token string, cause error) {
	l.mu.Lock()
	h, ok := l.held[token]
	delete(l.held, token)
	l.mu.Unlock()
	if ok {
		h.cancel(cause)
	}
}

// renew renews what is held, all in one round trip, three times in a lease's time. When the queue cannot be asked the
// work goes on: nobody else can lease it then, and if somebody can, jobs are joined and late answers refused.
func (l *loop[T]) renew(ctx context.Context) {
	for wait(ctx, l.lease/3) {
		l.mu.Lock()
		leases := make([]queue.Lease[T], 0, len(l.held))
		for _, h := range l.held {
			leases = append(leases, h.lease)
		}
		l.mu.Unlock()
		if len(leases) == 0 {
			continue
		}
		lost, err := l.queue.Renew(ctx, leases...)
		if err != nil && ctx.Err() == nil {
			l.log.WarnContext(ctx, "renewal failed", "loop", l.name, "err", err)
		}
		for _, lease := range lost {
			l.drop(lease.Token, queue.ErrLeaseLost)
		}
	}
}

// safely does what is to be done about one lease. A panic is a bug: it is told with its stack, once, here, and then an
// error like any other.
func (l *loop[T]) safely(ctx context.Context, lease queue.Lease[T], do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			l.log.ErrorContext(ctx, "panic, please report it", "loop", l.name, "item", lease.Item.ID, "err", err, "stack", string(debug.Stack()))
		}
	}()
	return do()
}

// finish says to the queue what became of an item. It does so also when work has just ended, within a bound.
func (l *loop[T]) finish(ctx context.Context, lease queue.Lease[T], err error) {
	lost := errors.Is(context.Cause(ctx), queue.ErrLeaseLost)
	if ctx.Err() != nil && err != nil {
		err = errHandBack
	}
	l.drop(lease.Token, nil) // before the lease ends, or the renewal would find it lost
	if lost {
		l.log.WarnContext(ctx, "lease lost, somebody else has the item", "loop", l.name, "item", lease.Item.ID)
		return
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := l.safely(end, lease, func() error { return l.settle(end, lease, err) }); err != nil {
		l.log.WarnContext(ctx, "item not settled, its lease will run out", "loop", l.name, "item", lease.Item.ID, "err", err)
	}
}

// settle acknowledges the item, returns it, for later each time, or buries it.
func (l *loop[T]) settle(ctx context.Context, lease queue.Lease[T], err error) error {
	var wait later
	var over hopeless
	switch {
	case err == nil && l.pause > 0:
		return l.queue.Return(ctx, lease, l.pause)
	case err == nil:
		return l.ended(ctx, lease, l.queue.Ack(ctx, lease))
	case errors.Is(err, errHandBack):
		return l.queue.Return(ctx, lease, 0)
	case errors.Is(err, errAnew): // what is lost in between, the reaper puts in line
		return errors.Join(l.ended(ctx, lease, l.queue.Ack(ctx, lease)), l.queue.Push(ctx, lease.Item))
	case errors.As(err, &wait):
		return l.queue.Return(ctx, lease, min(wait.wait, l.lease))
	case errors.As(err, &over):
		return l.ended(ctx, lease, l.queue.Bury(ctx, lease, over.why))
	}
	return l.failed(ctx, lease, err)
}

// failed returns an item that failed, for later each time, or gives it up.
func (l *loop[T]) failed(ctx context.Context, lease queue.Lease[T], err error) error {
	l.log.WarnContext(ctx, "item failed, to be tried again", "loop", l.name, "item", lease.Item.ID, "tries", lease.Tries, "err", err)
	if l.giveUp == nil || lease.Tries < l.tries {
		return l.queue.Return(ctx, lease, l.backoff(lease.Tries))
	}
	var why string
	unsaid := l.safely(ctx, lease, func() (failed error) {
		why, failed = l.giveUp(ctx, lease.Item.Value, err)
		return failed
	})
	if unsaid != nil {
		l.log.WarnContext(ctx, "item not given up", "loop", l.name, "item", lease.Item.ID, "err", unsaid)
		return l.queue.Return(ctx, lease, l.backoff(lease.Tries))
	}
	l.log.ErrorContext(ctx, "item given up", "loop", l.name, "item", lease.Item.ID, "tries", lease.Tries, "err", err)
	return l.ended(ctx, lease, l.queue.Bury(ctx, lease, why))
}

// ended does what is to be done after an item left the line, if it did.
func (l *loop[T]) ended(ctx context.Context, lease queue.Lease[T], err error) error {
	if err == nil && l.done != nil {
		l.done(ctx, lease.Item.Value)
	}
	return err
}

// backoff doubles from 100 ms up to the lease time, which is what Return takes.
func (l *loop[T]) backoff(tries int) time.Duration {
	return min(100*time.Millisecond<<min(tries-1, 20), l.lease)
}
