// Package redislogs keeps logs in Redis Streams, one per attempt and kind: any agent appends, any agent reads and follows.
// The worker, the API and the page call it through package logs, and bloblogs for what runs; it calls Redis 7.0 or
// later, one script a verb. It refuses to read what a newer Millrace wrote. docs/redis.md lists its keys.
package redislogs

import (
	"context"
	_ "embed" // The scripts are files.
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/agent/logs"
)

const (
	maxEntry  = 64 << 10  // bytes of an entry of the stream
	maxAppend = 1 << 20   // bytes that one script appends, so that nobody waits long for Redis
	maxRead   = 256 << 10 // bytes that one Read returns

	defaultKeepFor = 2160 * time.Hour

	// markFor is how long the mark of a log is kept that was moved away as a whole: followers and writers that come late
	// find it here, and those that come later still ask where the log was moved to.
	markFor = time.Hour
)

var (
	//go:embed held.lua
	heldSource string
	//go:embed append.lua
	appendSource string
	//go:embed end.lua
	endSource string
	//go:embed read.lua
	readSource string
	//go:embed last.lua
	lastSource string
	//go:embed cut.lua
	cutSource string
	//go:embed size.lua
	sizeSource string

	appendScript = redis.NewScript(heldSource + appendSource)
	endScript    = redis.NewScript(heldSource + endSource)
	readScript   = redis.NewScript(heldSource + readSource)
	lastScript   = redis.NewScript(heldSource + lastSource)
	cutScript    = redis.NewScript(heldSource + cutSource)
	sizeScript   = redis.NewScript(heldSource + sizeSource)
)

// Config is how Logs behave.
type Config struct {
	KeepFor time.Duration // how long a log is kept after it was added to or ended; 0: 2160 h
	MaxSize int64         // bytes that one log may have, whole MiB; 0: logs.MaxSize
}

// Validate reports all that is wrong with c at once.
func (c Config) Validate() error {
	var errs []error
	if c.KeepFor != 0 && c.KeepFor < time.Second {
		errs = append(errs, fmt.Errorf("keeping logs for %v is too short, want at least a second", c.KeepFor))
	}
	if c.MaxSize < 0 || c.MaxSize%(1<<20) != 0 {
		errs = append(errs, fmt.Errorf("logs of %d bytes at most: want whole MiB", c.MaxSize))
	}
	return errors.Join(errs...)
}

// Logs keeps the contract of logs.Logs. Any number of Logs, in any number of processes, may share one Redis.
type Logs struct {
	rdb      redis.UniversalClient
	keepFor  time.Duration
	maxSize  int64
	blocking chan struct{} // has a place for each read that may block
}

// New returns logs in Redis. It does not speak to the server. cfg has been validated.
func New(rdb redis.UniversalClient, cfg Config) *Logs {
	if cfg.KeepFor == 0 {
		cfg.KeepFor = defaultKeepFor
	}
	if cfg.MaxSize == 0 {
		cfg.MaxSize = logs.MaxSize
	}
	return &Logs{rdb: rdb, keepFor: cfg.KeepFor, maxSize: cfg.MaxSize, blocking: make(chan struct{}, maxBlocking)}
}

// Append keeps the contract. One round trip for each MiB of data, one at least.
func (s *Logs) Append(ctx context.Context, k logs.Key, offset int64, data []byte) error {
	_, err := s.Add(ctx, k, offset, data)
	return err
}

// Add is Append, and tells what the stream holds afterwards, or holds instead of what is before a gap.
func (s *Logs) Add(ctx context.Context, k logs.Key, offset int64, data []byte) (logs.Held, error) {
	name, err := stream(k)
	if err != nil {
		return logs.Held{}, fmt.Errorf("append to log: %w", err)
	}
	if offset < 0 {
		return logs.Held{}, fmt.Errorf("append to log of %s/%s: offset %d is negative", k.Run, k.Task, offset)
	}
	for {
		part := data[:min(len(data), maxAppend)]
		held, err := s.add(ctx, name, offset, part)
		if err != nil {
			return held, fmt.Errorf("append to log of %s/%s at %d: %w", k.Run, k.Task, offset, err)
		}
		data, offset = data[len(part):], offset+int64(len(part))
		if len(data) == 0 {
			return held, nil
		}
	}
}

// add adds what one script may.
func (s *Logs) add(ctx context.Context, name string, offset int64, part []byte) (logs.Held, error) {
	args := []any{offset, s.maxSize, logs.Full(s.maxSize), s.keepFor.Milliseconds()}
	for entry := range slices.Chunk(part, maxEntry) {
		args = append(args, entry)
	}
	held, more, err := answer[int64](appendScript.Run(ctx, s.rdb, []string{name}, args...))
	if err == nil && more == 0 {
		err = fmt.Errorf("it ends at %d: %w", held.To, logs.ErrGap)
	}
	return held, err
}

// End keeps the contract. One round trip.
func (s *Logs) End(ctx context.Context, k logs.Key) error {
	name, err := stream(k)
	if err == nil {
		err = endScript.Run(ctx, s.rdb, []string{name}, s.keepFor.Milliseconds()).Err()
	}
	if err != nil {
		return fmt.Errorf("end log of %s/%s: %w", k.Run, k.Task, err)
	}
	return nil
}

// Size keeps the contract for what was not cut. One round trip.
func (s *Logs) Size(ctx context.Context, run string, keys []logs.Key) (int64, error) {
	names, err := streams(keys)
	if len(names) == 0 || err != nil {
		return 0, err
	}
	size, err := sizeScript.Run(ctx, s.rdb, names).Int64()
	if err != nil {
		return 0, fmt.Errorf("size of the logs of %s: %w", run, err)
	}
	return size, nil
}

// Forget keeps the contract. One round trip.
func (s *Logs) Forget(ctx context.Context, run string, keys []logs.Key) error {
	names, err := streams(keys)
	if len(names) == 0 || err != nil {
		return err
	}
	if err := s.rdb.Unlink(ctx, names...).Err(); err != nil {
		return fmt.Errorf("forget logs of %s: %w", run, err)
	}
	return nil
}

// Cut drops what lies before an offset, which the caller has put elsewhere, and tells what the stream holds afterwards:
// of a log that has not ended at least the last 64 KiB. Of a log that has ended and was dropped as a whole an hour long
// the mark is kept that says so. What was cut stays cut. One round trip.
func (s *Logs) Cut(ctx context.Context, k logs.Key, offset int64) (logs.Held, error) {
	name, err := stream(k)
	var held logs.Held
	if err == nil {
		held, _, err = answer[any](cutScript.Run(ctx, s.rdb, []string{name}, offset, markFor.Milliseconds()))
	}
	if err != nil {
		return held, fmt.Errorf("cut log of %s/%s at %d: %w", k.Run, k.Task, offset, err)
	}
	return held, nil
}

// answer takes apart what a script returns: what held.lua says, and whatever else.
func answer[T any](cmd *redis.Cmd) (held logs.Held, more T, err error) {
	all, err := cmd.Slice()
	if err != nil {
		return held, more, err
	}
	var n [3]int64
	strange := len(all) < len(n)
	for i, one := range all {
		var known bool
		if i < len(n) {
			n[i], known = one.(int64)
		} else {
			more, known = one.(T)
		}
		strange = strange || !known
	}
	if strange {
		return held, more, errors.New("redis gave a strange answer")
	}
	return logs.Held{From: n[0], To: n[1], Ended: n[2] == 1}, more, nil
}

// stream names the log of k. A colon in a name would make it another log's.
func stream(k logs.Key) (string, error) {
	if strings.Contains(k.Run+k.Task+string(k.Kind), ":") {
		return "", fmt.Errorf("%q, %q and %q are not the names of a run, a task and a kind", k.Run, k.Task, k.Kind)
	}
	name := "{millrace}:log:" + k.Run + ":" + k.Task + ":" + strconv.Itoa(k.Attempt)
	if k.Kind != logs.Output {
		name += ":" + string(k.Kind)
	}
	return name, nil
}

func streams(keys []logs.Key) ([]string, error) {
	names := make([]string, len(keys))
	for i, k := range keys {
		var err error
		if names[i], err = stream(k); err != nil {
			return nil, err
		}
	}
	return names, nil
}
