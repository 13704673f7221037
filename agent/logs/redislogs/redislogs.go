// Package redislogs keeps logs in Redis Streams, one per attempt: any agent appends, any agent reads and follows. The
// worker, the API and the page call it through package logs; it calls Redis 7.0 or later, one script a verb. It refuses
// to read what a newer Millrace wrote. docs/redis.md lists its keys.
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
)

var (
	//go:embed append.lua
	appendSource string
	//go:embed end.lua
	endSource string
	//go:embed read.lua
	readSource string

	appendScript = redis.NewScript(appendSource)
	endScript    = redis.NewScript(endSource)
	readScript   = redis.NewScript(readSource)
)

// Config is how Logs behave.
type Config struct {
	KeepFor time.Duration // how long a log is kept after it was added to or ended; 0: 2160 h
}

// Validate reports all that is wrong with c at once.
func (c Config) Validate() error {
	if c.KeepFor != 0 && c.KeepFor < time.Second {
		return fmt.Errorf("keeping logs for %v is too short, want at least a second", c.KeepFor)
	}
	return nil
}

// Logs keeps the contract of logs.Logs. Any number of Logs, in any number of processes, may share one Redis.
type Logs struct {
	rdb      redis.UniversalClient
	keepFor  time.Duration
	blocking chan struct{} // has a place for each read that may block
}

// New returns logs in Redis. It does not speak to the server. cfg has been validated.
func New(rdb redis.UniversalClient, cfg Config) *Logs {
	if cfg.KeepFor == 0 {
		cfg.KeepFor = defaultKeepFor
	}
	return &Logs{rdb: rdb, keepFor: cfg.KeepFor, blocking: make(chan struct{}, maxBlocking)}
}

// Append keeps the contract. One round trip for each MiB of data, one at least.
func (s *Logs) Append(ctx context.Context, k logs.Key, offset int64, data []byte) error {
	name, err := stream(k)
	if err != nil {
		return fmt.Errorf("append to log: %w", err)
	}
	if offset < 0 {
		return fmt.Errorf("append to log of %s/%s: offset %d is negative", k.Run, k.Task, offset)
	}
	for {
		part := data[:min(len(data), maxAppend)]
		args := []any{offset, logs.MaxSize, logs.Full, s.keepFor.Milliseconds()}
		for entry := range slices.Chunk(part, maxEntry) {
			args = append(args, entry)
		}
		answer, err := appendScript.Run(ctx, s.rdb, []string{name}, args...).Int64Slice()
		if err == nil && answer[0] == 0 {
			err = fmt.Errorf("it ends at %d: %w", answer[1], logs.ErrGap)
		}
		if err != nil {
			return fmt.Errorf("append to log of %s/%s at %d: %w", k.Run, k.Task, offset, err)
		}
		data, offset = data[len(part):], offset+int64(len(part))
		if len(data) == 0 {
			return nil
		}
	}
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

// look returns what lies at offset now, in one round trip, and the id of the log's last entry when that is nothing.
func (s *Logs) look(ctx context.Context, name string, offset int64) (c logs.Chunk, last string, err error) {
	c.Next = offset
	answer, err := readScript.Run(ctx, s.rdb, []string{name}, offset, maxRead).Slice()
	if err != nil {
		return c, "", err
	}
	if len(answer) == 3 {
		data, isText := answer[0].(string)
		ended, isNumber := answer[1].(int64)
		last, isID := answer[2].(string)
		if isText && isNumber && isID {
			c.Data, c.Next, c.Ended = []byte(data), offset+int64(len(data)), ended == 1
			return c, last, nil
		}
	}
	return c, "", errors.New("redis gave a strange answer")
}

// stream names the log of k. A colon in a name would make it another log's.
func stream(k logs.Key) (string, error) {
	if strings.Contains(k.Run+k.Task, ":") {
		return "", fmt.Errorf("%q and %q are not the names of a run and a task", k.Run, k.Task)
	}
	return "{millrace}:log:" + k.Run + ":" + k.Task + ":" + strconv.Itoa(k.Attempt), nil
}
