package spool

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/triggers"
)

const (
	batchDeliveries = 64              // deliveries that are handed on at a time; an inbox may keep them in one round trip
	batchBytes      = 8 << 20         // of bodies; a batch has one delivery at least
	keepWithin      = 5 * time.Second // what the inbox may take for one of them, beside its patience
	planWithin      = 2 * time.Second // what putting them in line may take
	lastWithin      = 5 * time.Second // what Run goes on for at most after its end was asked for
	backoffMin      = 50 * time.Millisecond
	backoffMax      = 2 * time.Second
	maxTries        = 3 // times that one may be refused, while others are kept, before it goes to the end of the line
)

// drain is what Run works with.
type drain struct {
	*Spool
	drained func(ctx context.Context, ids ...string) error
	batch   []*held // handed out by the disk, in order, and not kept yet
	kept    []*held // kept, and not put in line yet
	slow    bool    // the inbox kept the last batch, and took more than our patience
}

// Run hands on what the spool holds until ctx ends. It begins as soon as something is added, and tries again and again
// while the inbox behind is away, at least every 2 s. Then it goes on for as long as that succeeds, for 5 s at most, and
// returns nil; so let ctx end when nobody calls Keep any more. What is left is for the next process.
//
// The deliveries are kept in order, several at a time, and put in line to be planned in order by drained; an error of it
// leaves them to the reaper. One that is refused again and again while others are kept goes to the end of the line.
//
// Run is called once.
func (s *Spool) Run(ctx context.Context, drained func(ctx context.Context, ids ...string) error) error {
	d := &drain{Spool: s, drained: drained}
	wait := backoffMin
	for ctx.Err() == nil {
		switch handed, left := d.round(ctx); {
		case handed:
			wait = backoffMin
		case left:
			pause(ctx, wait)
			wait = min(2*wait, backoffMax)
		default:
			select {
			case <-s.disk.wake:
			case <-ctx.Done():
			}
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWithin)
	defer cancel()
	for handed := true; handed && last.Err() == nil; {
		handed, _ = d.round(last)
	}
	d.plan(last)
	return nil
}

// round hands one batch on. handed tells whether the inbox took any of it, left whether there is more to do.
func (d *drain) round(ctx context.Context) (handed, left bool) {
	d.fill()
	if len(d.batch) == 0 {
		d.disk.tidy()
		if !d.slow {
			d.comeBack()
		}
		return false, false
	}
	results := d.keep(ctx)
	var refused []*held
	var why error
	d.slow = false
	for i, h := range d.batch {
		r := results[i]
		if r.err != nil {
			refused = append(refused, h)
			why = r.err
			continue
		}
		d.slow = d.slow || r.took > d.patience(h.Delivery)
		if r.id == h.ID && (h.Body != nil || h.Object != "") {
			d.kept = append(d.kept, h)
		}
		d.disk.done(h)
		d.cfg.Metrics.Spooled("drained")
	}
	handed = len(refused) < len(d.batch)
	d.batch = refused
	switch {
	case handed:
		d.putBack(ctx, why)
	case ctx.Err() == nil:
		d.leave(why)
	}
	if !handed || len(d.batch) == 0 { // else those that were refused are tried at once, and come before others
		d.plan(ctx)
	}
	return handed, true
}

// fill takes deliveries from the disk up to the size of a batch.
func (d *drain) fill() {
	size := 0
	for _, h := range d.batch {
		size += len(h.Body)
	}
	for len(d.batch) < batchDeliveries && size < batchBytes {
		h, ok := d.disk.next()
		if !ok {
			return
		}
		d.batch = append(d.batch, h)
		size += len(h.Body)
	}
}

// result is what became of one delivery of a batch.
type result struct {
	id   string // under which it is kept
	err  error
	took time.Duration
}

// keep has the inbox behind keep the batch, all at a time, but those with the same pair one after the other: of them the
// first is the first there too.
func (d *drain) keep(ctx context.Context) []result {
	results := make([]result, len(d.batch))
	lanes := map[string][]int{}
	for i, h := range d.batch {
		pair := triggers.DeliveryID(h.Forge, h.Key)
		lanes[pair] = append(lanes[pair], i)
	}
	var all sync.WaitGroup
	for _, lane := range lanes {
		all.Go(func() {
			var err error
			for _, i := range lane {
				if err == nil {
					results[i] = d.keepOne(ctx, d.batch[i].Delivery)
					err = results[i].err
				}
				results[i].err = err
			}
		})
	}
	all.Wait()
	return results
}

func (d *drain) keepOne(ctx context.Context, delivery triggers.Delivery) result {
	ctx, cancel := context.WithTimeout(ctx, keepWithin+d.patience(delivery))
	defer cancel()
	start := time.Now()
	r, err := d.Inbox.Keep(ctx, delivery)
	return result{r.ID, err, time.Since(start)}
}

// plan puts what was kept in line to be planned, in order. Planning twice is planning once, so a delivery that the inbox
// had already may be put in line again.
func (d *drain) plan(ctx context.Context) {
	if len(d.kept) == 0 {
		return
	}
	slices.SortFunc(d.kept, func(a, b *held) int { return cmp.Compare(a.number, b.number) })
	ids := make([]string, len(d.kept))
	for i, h := range d.kept {
		ids[i] = h.ID
	}
	d.kept = nil
	ctx, cancel := context.WithTimeout(ctx, planWithin)
	defer cancel()
	if err := d.drained(ctx, ids...); err != nil {
		d.cfg.Log.Warn("drained deliveries are left to the reaper", "count", len(ids), "err", err)
	}
}

// putBack puts those of the batch at the end of the line that the inbox refused several times while it took others: so
// they stop nobody. It is not done at once, because an inbox that goes away in the middle of a batch refuses the rest.
func (d *drain) putBack(ctx context.Context, why error) {
	rest := d.batch[:0]
	for _, h := range d.batch {
		h.tries++
		if h.tries >= maxTries && d.disk.again(ctx, h) == nil {
			d.cfg.Log.Error("the inbox refuses a delivery again and again: it waits in the spool, at the end of the line", "delivery", h.ID, "forge", h.Forge, "err", why)
			continue
		}
		rest = append(rest, h)
	}
	d.batch = rest
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, wait time.Duration) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
