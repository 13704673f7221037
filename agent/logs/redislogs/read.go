package redislogs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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

// errMoved means that what is asked for was cut.
var errMoved = errors.New("it was moved to a bucket: read it where logs are kept")

// Read keeps the contract for what was not cut. One round trip where something lies at offset; else one more each 100 ms
// until something does, and one to read it. It returns ctx's error at most 100 ms after ctx ends.
func (s *Logs) Read(ctx context.Context, k logs.Key, offset int64, wait time.Duration) (logs.Chunk, error) {
	for until := time.Now().Add(wait); ; {
		c, held, err := s.Look(ctx, k, offset)
		if err == nil && offset < held.From {
			err = fmt.Errorf("read log of %s/%s at %d: %w", k.Run, k.Task, offset, errMoved)
		}
		left := time.Until(until)
		if err != nil || len(c.Data) > 0 || c.Ended || left <= 0 {
			return c, err
		}
		if err := s.Wait(ctx, k, held.To, left); err != nil {
			return c, err
		}
	}
}

// Look returns what lies at offset now, at most 256 KiB, and what the stream holds. Nothing lies where it was cut, and
// nothing where the log has not come to; the end is told only who looks where it is, or beyond. One round trip.
func (s *Logs) Look(ctx context.Context, k logs.Key, offset int64) (logs.Chunk, logs.Held, error) {
	name, err := stream(k)
	if err != nil {
		return logs.Chunk{}, logs.Held{}, fmt.Errorf("read log: %w", err)
	}
	if offset < 0 {
		return logs.Chunk{}, logs.Held{}, fmt.Errorf("read log of %s/%s: offset %d is negative", k.Run, k.Task, offset)
	}
	held, data, err := answer[string](readScript.Run(ctx, s.rdb, []string{name}, offset, maxRead))
	if err != nil {
		return logs.Chunk{}, held, fmt.Errorf("read log of %s/%s at %d: %w", k.Run, k.Task, offset, err)
	}
	c := logs.Chunk{Data: []byte(data), Next: offset + int64(len(data))}
	c.Ended = held.Ended && c.Next >= held.To
	return c, held, nil
}

// Last keeps the contract for a log that was not cut within its last 256 KiB. One round trip, which reads little more
// than the line.
func (s *Logs) Last(ctx context.Context, k logs.Key) (size int64, line string, err error) {
	name, err := stream(k)
	if err != nil {
		return 0, "", fmt.Errorf("read end of log: %w", err)
	}
	held, tail, err := answer[string](lastScript.Run(ctx, s.rdb, []string{name}, logs.MaxLine))
	if err != nil {
		return 0, "", fmt.Errorf("read end of log of %s/%s: %w", k.Run, k.Task, err)
	}
	return held.To, logs.LastLine([]byte(tail), int64(len(tail)) == held.To), nil
}

// Wait returns when a log of that size grew or ended, or when the time is over. A round trip each 100 ms; it returns
// ctx's error at most 100 ms after ctx ends.
func (s *Logs) Wait(ctx context.Context, k logs.Key, size int64, wait time.Duration) error {
	name, err := stream(k)
	if err == nil {
		err = s.wait(ctx, name, strconv.FormatInt(size, 10)+"-0", time.Now().Add(wait))
	}
	if err != nil {
		return fmt.Errorf("wait for log of %s/%s: %w", k.Run, k.Task, err)
	}
	return nil
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
