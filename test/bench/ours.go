package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/queue"
)

// ours is redisq, with a worker that does what the agent's loop does.
type ours struct{ q queue.Queue[data] }

func (o ours) push(ctx context.Context, first, last int) error {
	var items []queue.Item[data]
	for i := first; i < last; i++ {
		items = append(items, queue.Item[data]{ID: "task" + strconv.Itoa(i), Value: data{i}})
	}
	for batch := range slices.Chunk(items, 1000) {
		if err := o.q.Push(ctx, batch...); err != nil {
			return err
		}
	}
	return nil
}

func (o ours) work(ctx context.Context, worker string, slots int, handle func(context.Context, int)) error {
	h := &holder{q: o.q, held: map[string]queue.Lease[data]{}}
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var renewer, handlers sync.WaitGroup
	renewer.Go(func() { h.renew(renewing) })
	free := make(chan struct{}, slots)
	for range slots {
		free <- struct{}{}
	}
	var failed error
	for ctx.Err() == nil && failed == nil {
		n := take(ctx, free)
		if n == 0 {
			break
		}
		leases, err := o.q.Lease(ctx, worker, n)
		if err != nil && ctx.Err() == nil {
			failed = err
		}
		for range n - len(leases) {
			free <- struct{}{}
		}
		for _, l := range leases {
			h.hold(l)
			handlers.Go(func() {
				handle(ctx, l.Item.Value.Data)
				free <- struct{}{}
				h.done(ctx, l)
			})
		}
	}
	handlers.Wait()
	stop()
	renewer.Wait()
	return failed
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

// holder renews what is held, three times in a lease's time.
type holder struct {
	q    queue.Queue[data]
	mu   sync.Mutex
	held map[string]queue.Lease[data]
}

func (h *holder) hold(l queue.Lease[data]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held[l.Token] = l
}

// done acknowledges a task that was handled, if its handler was not told to stop.
func (h *holder) done(ctx context.Context, l queue.Lease[data]) {
	h.mu.Lock()
	delete(h.held, l.Token)
	h.mu.Unlock()
	if err := h.q.Ack(context.WithoutCancel(ctx), l); err != nil {
		panic(fmt.Sprint("acknowledge: ", err)) // then the numbers mean nothing
	}
}

func (h *holder) renew(ctx context.Context) {
	tick := time.NewTicker(leaseTime / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		h.mu.Lock()
		var all []queue.Lease[data]
		for _, l := range h.held {
			all = append(all, l)
		}
		h.mu.Unlock()
		if _, err := h.q.Renew(ctx, all...); err != nil && ctx.Err() == nil {
			panic(fmt.Sprint("renew: ", err))
		}
	}
}
