package memq

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/queue"
)

// grave is one place in the list of the dead.
type grave[T any] struct {
	queue.Dead[T]
	number uint64 // of the burial, from 1; a cursor
}

// Bury keeps the contract.
func (q *Queue[T]) Bury(_ context.Context, l queue.Lease[T], why string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := q.held(l)
	if i < 0 {
		return fmt.Errorf("bury %s: %w", l.Item.ID, queue.ErrLeaseLost)
	}
	e, now := q.line[i], time.Now()
	q.line = slices.Delete(q.line, i, i+1)
	why = strings.ToValidUTF8(why[:min(len(why), queue.MaxWhy)], "")
	q.buried++
	q.dead = slices.DeleteFunc(q.dead, func(g grave[T]) bool { return g.Item.ID == e.item.ID || expired(g, now) })
	dead := queue.Dead[T]{
		Item: e.item, Token: strconv.FormatUint(q.buried, 10), Why: why, Tries: e.tries, Pushed: e.pushed, Buried: now,
	}
	q.dead = append(q.dead, grave[T]{dead, q.buried})
	q.dead = slices.Delete(q.dead, 0, max(len(q.dead)-queue.MaxDead, 0))
	return nil
}

// Dead keeps the contract.
func (q *Queue[T]) Dead(_ context.Context, cursor string, limit int) (items []queue.Dead[T], next string, err error) {
	before := ^uint64(0)
	if cursor != "" {
		if before, err = strconv.ParseUint(cursor, 10, 64); err != nil {
			return nil, "", fmt.Errorf("list the dead from %q: %w", cursor, queue.ErrCursor)
		}
	}
	if limit < 1 {
		return nil, "", nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now, last := time.Now(), uint64(0)
	for _, g := range slices.Backward(q.dead) {
		if g.number >= before || expired(g, now) {
			continue
		}
		if len(items) == limit {
			return items, strconv.FormatUint(last, 10), nil
		}
		items, last = append(items, g.Dead), g.number
	}
	return items, "", nil
}

func expired[T any](g grave[T], now time.Time) bool { return now.Sub(g.Buried) > queue.KeepDead }

// Forget keeps the contract.
func (q *Queue[T]) Forget(_ context.Context, id, token string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	had := len(q.dead)
	q.dead = slices.DeleteFunc(q.dead, func(g grave[T]) bool { return g.Item.ID == id && g.Token == token })
	if len(q.dead) == had {
		return fmt.Errorf("forget %s: %w", id, queue.ErrNotFound)
	}
	return nil
}
