package redislogs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/agent/logs"
)

const (
	// maxBlocking is how many reads may block at a time: each takes a connection from the pool, which others need more.
	// Those that find no place take turns.
	maxBlocking = 4
	// maxBlock bounds one blocked read: its end is when a ctx that ended is noticed, and when somebody else has a turn.
	maxBlock = 100 * time.Millisecond
)

// Read keeps the contract. One round trip where something lies at offset; else one more each 100 ms until something
// does, and one to read it. It returns ctx's error at most 100 ms after ctx ends.
func (s *Logs) Read(ctx context.Context, k logs.Key, offset int64, wait time.Duration) (logs.Chunk, error) {
	name, err := stream(k)
	if err != nil {
		return logs.Chunk{}, fmt.Errorf("read log: %w", err)
	}
	if offset < 0 {
		return logs.Chunk{}, fmt.Errorf("read log of %s/%s: offset %d is negative", k.Run, k.Task, offset)
	}
	for until := time.Now().Add(wait); ; {
		c, last, err := s.look(ctx, name, offset)
		if err == nil && len(c.Data) == 0 && !c.Ended && time.Until(until) > 0 {
			if err = s.wait(ctx, name, last, until); err == nil {
				continue
			}
		}
		if err != nil {
			return c, fmt.Errorf("read log of %s/%s at %d: %w", k.Run, k.Task, offset, err)
		}
		return c, nil
	}
}

// wait returns when the log has an entry after last, or when it is time.
func (s *Logs) wait(ctx context.Context, name, last string, until time.Time) error {
	late := time.NewTimer(time.Until(until))
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return nil
		case s.blocking <- struct{}{}:
		}
		block := min(time.Until(until), maxBlock)
		err := s.block(ctx, name, last, max(block, time.Millisecond)) // Redis blocks for ever on 0
		<-s.blocking
		if !errors.Is(err, redis.Nil) {
			return err
		}
	}
}

// block returns redis.Nil when no entry came after last in time.
func (s *Logs) block(ctx context.Context, name, last string, d time.Duration) error {
	return s.rdb.XRead(ctx, &redis.XReadArgs{Streams: []string{name, last}, Count: 1, Block: d}).Err()
}
