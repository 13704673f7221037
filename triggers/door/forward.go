package door

import (
	"context"
	"time"
)

const (
	waiting     = 1024            // kept deliveries that may wait for the plan queue
	atOnce      = 128             // how many of them share a round trip
	planWithin  = 2 * time.Second // what that may take
	drainWithin = 5 * time.Second // what Run takes at most after its end was asked for
)

// forward hands a kept delivery to Run and never waits for it. When Run is behind, the delivery is left where it is: it
// stands among the inbox's unplanned ones, where the agent's reaper finds it.
func (d *Door) forward(id string) {
	select {
	case d.kept <- id:
	default:
		d.left.Add(1)
	}
}

// Run puts kept deliveries in line to be planned, several in a round trip, until ctx ends; then it forwards what is
// waiting, for 5 s at most, and returns nil. What it cannot put in line is left to the reaper, see forward.
func (d *Door) Run(ctx context.Context) error {
	work := context.WithoutCancel(ctx) // what was begun is finished
	for ctx.Err() == nil {
		select {
		case id := <-d.kept:
			d.plan(work, id)
		case <-ctx.Done():
		}
	}
	d.drain(work)
	return nil
}

// drain forwards what is waiting, and not what comes later.
func (d *Door) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	for ctx.Err() == nil {
		select {
		case id := <-d.kept:
			d.plan(ctx, id)
		default:
			return
		}
	}
}

// plan puts id in line, and whatever waits behind it.
func (d *Door) plan(ctx context.Context, id string) {
	ids := []string{id}
	for more := true; more && len(ids) < atOnce; {
		select {
		case id := <-d.kept:
			ids = append(ids, id)
		default:
			more = false
		}
	}
	ctx, cancel := context.WithTimeout(ctx, planWithin)
	defer cancel()
	if err := d.cfg.Plan(ctx, ids...); err != nil {
		d.left.Add(int64(len(ids)))
		d.cfg.Log.Error("deliveries not put in line", "err", err)
	}
	if n := d.left.Swap(0); n > 0 {
		d.cfg.Log.Warn("deliveries left to the reaper, the plan queue is behind", "count", n)
	}
}
