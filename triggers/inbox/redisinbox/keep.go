package redisinbox

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// flushFor bounds the round trip of a batch. A caller who is more pressed for time brings a context that ends earlier.
const flushFor = 10 * time.Second

// Keep is inbox.Inbox's, in one round trip, which it shares with the callers that came while the one before it was
// under way. When Redis executed a Keep whose answer was lost, the client asks again and the receipt says duplicate,
// with the delivery's own id: nothing is lost, and the delivery stands among the unplanned ones. The same is true when
// ctx ends too early: the delivery may have been kept.
func (i *Inbox) Keep(ctx context.Context, d triggers.Delivery) (inbox.Receipt, error) {
	e, err := newEntry(ctx, d)
	if err == nil {
		err = i.line.wait(e, i.flush)
	}
	if err != nil {
		return inbox.Receipt{}, fmt.Errorf("keep delivery: %w", err)
	}
	if e.first != "" {
		return inbox.Receipt{ID: e.first, Duplicate: true}, nil
	}
	return inbox.Receipt{ID: d.ID}, nil
}

// newEntry is d as keep.lua wants it.
func newEntry(ctx context.Context, d triggers.Delivery) (*entry, error) {
	head, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	form, body := pack(d.Body)
	score := ""
	if d.Body != nil || d.Object != "" {
		score = strconv.FormatInt(d.At.UnixMicro(), 10)
	}
	return &entry{
		ctx:  ctx,
		keys: [2]string{keySeen + triggers.DeliveryID(d.Forge, d.Key), keyDelivery + d.ID},
		args: [6]any{d.ID, since(d.At) + d.ID, score, head, form, body},
		size: len(head) + len(body),
		done: make(chan struct{}),
	}, nil
}

// since is how the members of the list of all deliveries begin: their order is that of time.
func since(t time.Time) string {
	return fmt.Sprintf("%016x", max(t.UnixNano(), 0))
}

// flush keeps a batch and notes in each entry who was first. It returns an error when none of them may count as kept.
func (i *Inbox) flush(batch []*entry) error {
	keys := make([]string, 0, 3+2*len(batch))
	keys = append(keys, keyAll, keyUnplanned, keyBytes)
	args := make([]any, 0, 2+6*len(batch))
	args = append(args, version, i.known.Milliseconds())
	for _, e := range batch {
		keys = append(keys, e.keys[:]...)
		args = append(args, e.args[:]...)
	}
	// It outlives each caller: one who leaves does not take the others along.
	ctx, cancel := context.WithTimeout(context.Background(), flushFor)
	defer cancel()
	// One script takes the whole batch, rather than a pipeline a script each: Run can load it again when Redis has lost it.
	firsts, err := keepScript.Run(ctx, i.rdb, keys, args...).StringSlice()
	if err != nil {
		return err
	}
	if len(firsts) != len(batch) {
		return fmt.Errorf("redis answered for %d deliveries of %d", len(firsts), len(batch))
	}
	for n, e := range batch {
		e.first = firsts[n]
	}
	return nil
}
