package redisstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/agent/store"
)

// SavePlan keeps the contract. One round trip.
func (s *Store) SavePlan(ctx context.Context, p store.Plan) error {
	value, _, err := s.codec.pack(p)
	if err == nil {
		err = s.rdb.Set(ctx, keyPlan+p.Delivery, value, s.keepPlans).Err()
	}
	if err != nil {
		return fmt.Errorf("save plan of delivery %s: %w", p.Delivery, err)
	}
	return nil
}

// Plan keeps the contract. One round trip.
func (s *Store) Plan(ctx context.Context, delivery string) (store.Plan, error) {
	value, err := s.rdb.Get(ctx, keyPlan+delivery).Result()
	if errors.Is(err, redis.Nil) {
		err = store.ErrNotFound
	}
	var p store.Plan
	if err == nil {
		_, err = s.codec.unpack(value, &p)
	}
	if err != nil {
		return store.Plan{}, fmt.Errorf("plan of delivery %q: %w", delivery, err)
	}
	return p, nil
}
