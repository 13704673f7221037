package redisq

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/queue"
)

// deadPlace is a cursor: the id of an entry in the list of the dead, which begins with the time of its burial.
var deadPlace = regexp.MustCompile(`^[0-9]{1,19}-[0-9]{1,19}$`)

// keyBuried is the names of the lines that have ever buried something.
const keyBuried = "{millrace}:queues:buried"

// Buried returns the names of the lines that have ever buried something, whoever opened them. One round trip.
func Buried(ctx context.Context, rdb redis.UniversalClient) ([]string, error) {
	names, err := rdb.SMembers(ctx, keyBuried).Result()
	if err != nil {
		return nil, fmt.Errorf("list the lines with dead: %w", err)
	}
	return names, nil
}

// Bury keeps the contract. One round trip.
func (q *Queue[T]) Bury(ctx context.Context, l queue.Lease[T], why string) error {
	if err := q.bury(ctx, l, why); err != nil {
		return fmt.Errorf("bury %s in queue %s: %w", l.Item.ID, q.cfg.Name, err)
	}
	return nil
}

func (q *Queue[T]) bury(ctx context.Context, l queue.Lease[T], why string) error {
	entry, deliveries := splitToken(l.Token)
	why = strings.ToValidUTF8(why[:min(len(why), queue.MaxWhy)], "")
	keys := []string{q.stream, q.ids, q.dead, q.deadIDs, keyBuried}
	held, err := buryScript.Run(ctx, q.rdb, keys, l.Worker, entry, deliveries, why, l.Tries, l.Pushed.UnixMilli(),
		milliseconds(queue.KeepDead), queue.MaxDead, q.cfg.Name).Bool()
	if err != nil {
		return err
	}
	if !held {
		q.cfg.Metrics.LeasesLost(q.cfg.Kind, 1)
		return queue.ErrLeaseLost
	}
	q.cfg.Metrics.Buried(q.cfg.Kind)
	return nil
}

// Dead keeps the contract. One round trip.
func (q *Queue[T]) Dead(ctx context.Context, cursor string, limit int) (items []queue.Dead[T], next string, err error) {
	from := "+"
	if cursor != "" {
		if !deadPlace.MatchString(cursor) {
			return nil, "", fmt.Errorf("list the dead of queue %s from %q: %w", q.cfg.Name, cursor, queue.ErrCursor)
		}
		from = "(" + cursor
	}
	if limit < 1 {
		return nil, "", nil
	}
	oldest := strconv.FormatInt(time.Now().Add(-queue.KeepDead).UnixMilli(), 10)
	found, err := q.rdb.XRevRangeN(ctx, q.dead, from, oldest, int64(limit)+1).Result()
	if err != nil {
		return nil, "", fmt.Errorf("list the dead of queue %s: %w", q.cfg.Name, err)
	}
	if len(found) > limit {
		found, next = found[:limit], found[limit-1].ID
	}
	for _, m := range found {
		items = append(items, dead[T](m))
	}
	return items, next, nil
}

// dead reads an entry of the list, as far as it can be read: one that could not be is why some are there.
func dead[T any](m redis.XMessage) queue.Dead[T] {
	e := entry{id: m.ID, fields: m.Values}
	l, _ := lease[T](e, "")
	d := queue.Dead[T]{Item: l.Item, Token: m.ID, Why: e.field("why"), Tries: l.Tries, Pushed: l.Pushed}
	at, _, _ := strings.Cut(m.ID, "-")
	if ms, err := strconv.ParseInt(at, 10, 64); err == nil {
		d.Buried = time.UnixMilli(ms)
	}
	return d
}

// Forget keeps the contract. One round trip.
func (q *Queue[T]) Forget(ctx context.Context, id, token string) error {
	found, err := forgetScript.Run(ctx, q.rdb, []string{q.dead, q.deadIDs}, id, token).Bool()
	if err == nil && !found {
		err = queue.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("forget %s of queue %s: %w", id, q.cfg.Name, err)
	}
	return nil
}
