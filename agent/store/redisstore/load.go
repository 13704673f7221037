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
	runs, err := s.fetch(ctx, []string{id})
	if err != nil {
		return run.Run{}, err
	}
	if len(runs) == 0 {
		return run.Run{}, fmt.Errorf("load run %q: %w", id, store.ErrNotFound)
	}
	return runs[0], nil
}

// request is what is asked for one run.
type request struct {
	id     string
	hash   *redis.MapStringStringCmd
	plan   *run.Snapshot
	packed *redis.StringCmd // nil when the snapshot is known
}

// fetch loads runs in one round trip. Those that are not there are left out.
func (s *Store) fetch(ctx context.Context, ids []string) ([]run.Run, error) {
	requests := make([]request, len(ids))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			q := request{id: id, hash: p.HGetAll(ctx, keyRun+id)}
			if plan, ok := s.snapshots.get(id); ok {
				q.plan = plan
			} else {
				q.packed = p.Get(ctx, keyRun+id+planSuffix)
			}
			requests[i] = q
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("load runs: %w", err)
	}
	runs := make([]run.Run, 0, len(ids))
	for _, q := range requests {
		if len(q.hash.Val()) == 0 {
			continue
		}
		r, err := s.answer(q)
		if err != nil {
			return nil, fmt.Errorf("load run %s: %w", q.id, err)
		}
		runs = append(runs, r)
	}
	return runs, nil
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
