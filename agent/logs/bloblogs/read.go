package bloblogs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
)

// errLost means that Redis says that the bucket has what it does not have.
var errLost = errors.New("it is not in the bucket: somebody removed it, or the agent that wrote it has another bucket (logs.bucket)")

// Read keeps the contract. One round trip to Redis where it holds what lies at offset, and waiting is that of Live; else
// one more to the bucket.
func (s *Logs) Read(ctx context.Context, k logs.Key, offset int64, wait time.Duration) (logs.Chunk, error) {
	for until := time.Now().Add(wait); ; {
		c, held, err := s.look(ctx, k, offset)
		left := time.Until(until)
		if err != nil || len(c.Data) > 0 || c.Ended || left <= 0 {
			return c, err
		}
		if err := s.live.Wait(ctx, k, held.To, left); err != nil {
			return c, err
		}
	}
}

// look returns what lies at offset now, wherever that is, and what Redis holds.
func (s *Logs) look(ctx context.Context, k logs.Key, offset int64) (logs.Chunk, logs.Held, error) {
	name, err := object(k)
	if err != nil {
		return logs.Chunk{}, logs.Held{}, fmt.Errorf("read log: %w", err)
	}
	c, held, err := s.live.Look(ctx, k, offset)
	if err != nil || held.Found() && offset >= held.From {
		return c, held, err
	}
	c, err = s.kept(ctx, name, offset, held)
	if missing(err) {
		if err = nil; held.Found() {
			err = errLost
		}
	}
	if err != nil {
		err = fmt.Errorf("read log of %s/%s at %d: %w", k.Run, k.Task, offset, err)
	}
	return c, held, err
}

// kept reads at an offset that Redis does not hold: from a part while there are parts, else from the object. It looks
// there for parts that are gone, too: the object is there before they go.
func (s *Logs) kept(ctx context.Context, name string, offset int64, held logs.Held) (logs.Chunk, error) {
	if held.Found() && !moved(held) {
		n := offset / s.part
		data, _, err := s.read(ctx, part(name, n), offset-n*s.part, maxRead)
		if err == nil || !missing(err) {
			return logs.Chunk{Data: data, Next: offset + int64(len(data))}, err
		}
	}
	data, size, err := s.read(ctx, name, offset, maxRead)
	next := offset + int64(len(data))
	return logs.Chunk{Data: data, Next: next, Ended: err == nil && next >= size}, err
}

// Last keeps the contract. One round trip to Redis, or for what ended long ago to the bucket, and what it takes to read
// the last 256 KiB.
func (s *Logs) Last(ctx context.Context, k logs.Key) (size int64, line string, err error) {
	size, err = s.length(ctx, k)
	if err != nil {
		return 0, "", err
	}
	from := max(0, size-logs.MaxLine)
	var tail []byte
	for at := from; at < size; {
		c, _, err := s.look(ctx, k, at)
		if err == nil && len(c.Data) == 0 {
			err = fmt.Errorf("read log of %s/%s at %d: %w", k.Run, k.Task, at, errElsewhere)
		}
		if err != nil {
			return 0, "", err
		}
		tail = append(tail, c.Data[:min(int64(len(c.Data)), size-at)]...)
		at = c.Next
	}
	return size, logs.LastLine(tail, from == 0), nil
}

// length is how long a log is; 0 for one that never was.
func (s *Logs) length(ctx context.Context, k logs.Key) (int64, error) {
	name, err := object(k)
	if err != nil {
		return 0, fmt.Errorf("read log: %w", err)
	}
	_, held, err := s.live.Look(ctx, k, nowhere)
	if err != nil || held.Found() {
		return held.To, err
	}
	size, err := s.size(ctx, name)
	if err != nil && !missing(err) {
		return 0, fmt.Errorf("read log of %s/%s: ask bucket for %s: %w", k.Run, k.Task, name, err)
	}
	return size, nil
}
