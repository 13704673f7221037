package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// Load keeps the contract. One round trip.
func (s *Store) Load(ctx context.Context, id string) (run.Run, error) {
	if strings.Contains(id, ":") { // it would name another key than a run's
		return run.Run{}, fmt.Errorf("load run %q: %w", id, store.ErrNotFound)
	}
	requests, err := s.ask(ctx, []string{id})
	if err == nil && len(requests[0].hash.Val()) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return run.Run{}, fmt.Errorf("load run %q: %w", id, err)
	}
	r, err := s.answer(requests[0])
	if err != nil {
		return r, fmt.Errorf("load run %s: %w: %w", id, store.ErrUnreadable, err)
	}
	return r, nil
}

// fetch loads the runs at some places in one round trip. Those that are not there are left out; for those that cannot be
// read there stands run.Unread, so that one of them is not in the way of the others.
func (s *Store) fetch(ctx context.Context, places []string) ([]run.Run, error) {
	requests, err := s.ask(ctx, ids(places))
	if err != nil {
		return nil, fmt.Errorf("load runs: %w", err)
	}
	runs := make([]run.Run, 0, len(places))
	for i, q := range requests {
		if len(q.hash.Val()) == 0 {
			continue
		}
		r, err := s.answer(q)
		if err != nil {
			r = run.Unread(store.RunAt(places[i]), store.TimeAt(places[i]), err.Error())
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// request is what is asked for one run.
type request struct {
	hash   *redis.MapStringStringCmd
	plan   *run.Snapshot
	packed *redis.StringCmd // nil when the snapshot is known
}

// ask asks for runs in one round trip.
func (s *Store) ask(ctx context.Context, ids []string) ([]request, error) {
	requests := make([]request, len(ids))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			q := request{hash: p.HGetAll(ctx, keyRun+id)}
			if plan, ok := s.snapshots.get(id); ok {
				q.plan = plan
			} else {
				q.packed = p.Get(ctx, keyRun+id+planSuffix)
			}
			requests[i] = q
		}
		return nil
	})
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	return requests, err
}

// answer makes the run that was asked for, and remembers its snapshot.
func (s *Store) answer(q request) (run.Run, error) {
	if q.plan == nil {
		q.plan = new(run.Snapshot)
		size, err := s.codec.unpack(q.packed.Val(), q.plan)
		if err != nil {
			return run.Run{}, fmt.Errorf("read snapshot: %w", err)
		}
		s.snapshots.put(q.plan, size)
	}
	return assemble(q.plan, q.hash.Val())
}
