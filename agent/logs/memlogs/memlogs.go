// Package memlogs keeps logs in memory: for tests, also inside a testing/synctest bubble, and for running a pipeline on
// a laptop. Whoever wants logs without Redis calls it; it calls nobody. It refuses to outlive its process.
package memlogs

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
)

// MaxSize bounds one log in bytes: less than logs.MaxSize, because all of them are in memory.
const MaxSize = 16 << 20

// maxRead is how many bytes one Read returns at most.
const maxRead = 256 << 10

// Logs keeps the contract of logs.Logs.
type Logs struct {
	mu      sync.Mutex
	logs    map[logs.Key]*log
	changed chan struct{} // closed at the next change of any log
}

// log is one log. Beyond MaxSize it has nothing but the line that says so.
type log struct {
	data  []byte
	ended bool
}

// New returns logs of which there are none yet.
func New() *Logs {
	return &Logs{logs: map[logs.Key]*log{}, changed: make(chan struct{})}
}

// Append keeps the contract.
func (s *Logs) Append(_ context.Context, k logs.Key, offset int64, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.open(k)
	have := int64(len(l.data))
	switch {
	case l.ended, have > MaxSize:
		return nil // nothing more comes
	case offset < 0:
		return fmt.Errorf("append to log of %s/%s: offset %d is negative", k.Run, k.Task, offset)
	case offset > have:
		return fmt.Errorf("append to log of %s/%s at %d: it ends at %d: %w", k.Run, k.Task, offset, have, logs.ErrGap)
	case offset+int64(len(data)) <= have:
		return nil
	}
	data = data[have-offset:]
	room := MaxSize - len(l.data)
	l.data = append(l.data, data[:min(len(data), room)]...)
	if len(data) > room {
		l.data = append(l.data, logs.Full(MaxSize)...)
	}
	s.wake()
	return nil
}

// Size keeps the contract.
func (s *Logs) Size(_ context.Context, _ string, keys []logs.Key) (size int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		if l := s.logs[k]; l != nil {
			size += int64(len(l.data))
		}
	}
	return size, nil
}

// Forget keeps the contract.
func (s *Logs) Forget(_ context.Context, _ string, keys []logs.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		delete(s.logs, k)
	}
	s.wake()
	return nil
}

// End keeps the contract.
func (s *Logs) End(_ context.Context, k logs.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open(k).ended = true
	s.wake()
	return nil
}

// Last keeps the contract.
func (s *Logs) Last(_ context.Context, k logs.Key) (size int64, line string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[k]
	if l == nil {
		return 0, "", nil
	}
	return int64(len(l.data)), logs.LastLine(l.data, true), nil
}

// Read keeps the contract.
func (s *Logs) Read(ctx context.Context, k logs.Key, offset int64, wait time.Duration) (logs.Chunk, error) {
	if offset < 0 {
		return logs.Chunk{}, fmt.Errorf("read log of %s/%s: offset %d is negative", k.Run, k.Task, offset)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		c, changed := s.look(k, offset)
		if len(c.Data) > 0 || c.Ended || wait <= 0 {
			return c, nil
		}
		select {
		case <-changed:
		case <-timer.C:
			wait = 0 // look a last time
		case <-ctx.Done():
			return c, ctx.Err()
		}
	}
}

// look returns what lies at offset now, and what is closed at the next change.
func (s *Logs) look(k logs.Key, offset int64) (logs.Chunk, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := logs.Chunk{Next: offset}
	l := s.logs[k]
	if l == nil {
		return c, s.changed
	}
	if rest := l.data[min(offset, int64(len(l.data))):]; len(rest) > 0 {
		c.Data = append(c.Data, rest[:min(len(rest), maxRead)]...)
		c.Next += int64(len(c.Data))
	}
	c.Ended = l.ended && c.Next >= int64(len(l.data))
	return c, s.changed
}

func (s *Logs) open(k logs.Key) *log {
	if s.logs[k] == nil {
		s.logs[k] = &log{}
	}
	return s.logs[k]
}

// wake lets every Read that waits look again.
func (s *Logs) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}
