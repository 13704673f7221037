package runnertest

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/millrace-ci/millrace/agent/mask"
)

// Log is a runners.Log that keeps what it gets. The zero Log is ready; it is safe for concurrent use.
type Log struct {
	mu     sync.Mutex
	data   []byte
	masked []string
	late   int           // how many of masked were told after they had been written
	change chan struct{} // closed at the next write; nil when nobody waits
}

// Write keeps p.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.data = append(l.data, p...)
	if l.change != nil {
		close(l.change)
		l.change = nil
	}
	return len(p), nil
}

// Resume has nothing: each Log is one Wait's.
func (l *Log) Resume() (string, error) { return "", nil }

// Mask keeps the values.
func (l *Log) Mask(values ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range values {
		if v != "" && bytes.Contains(l.data, []byte(v)) {
			l.late++
		}
	}
	l.masked = append(l.masked, values...)
}

// Bytes is what was written so far.
func (l *Log) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.data)
}

// hider hides what was told, and fails the test if something was told too late.
func (l *Log) hider(t *testing.T) *mask.Masker {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.late > 0 {
		t.Errorf("log: %d values to hide were told after they had been written", l.late)
	}
	m, err := mask.New(l.masked...)
	if err != nil {
		t.Fatalf("log: values to hide: %v", err)
	}
	return m
}

// Await returns when text was written, or fails the test when ctx ends.
func (l *Log) Await(ctx context.Context, t *testing.T, text string) {
	t.Helper()
	for {
		l.mu.Lock()
		found := bytes.Contains(l.data, []byte(text))
		if l.change == nil {
			l.change = make(chan struct{})
		}
		change := l.change
		l.mu.Unlock()
		if found {
			return
		}
		select {
		case <-change:
		case <-ctx.Done():
			t.Fatalf("log: %q never came; it is:\n%.2000s", text, l.Bytes())
		}
	}
}

// Text is what one container wrote. Every line of the log must be `<RFC 3339 time> <container> <text>`, of valid UTF-8
// and at most 64 KiB.
func (l *Log) Text(t *testing.T, container string) string {
	t.Helper()
	var text strings.Builder
	for line := range bytes.Lines(l.Bytes()) {
		if len(line) > 64<<10 || !utf8.Valid(line) || line[len(line)-1] != '\n' {
			t.Fatalf("log: a line is too long, no UTF-8 or has no end: %.200q", line)
		}
		at, rest, _ := strings.Cut(string(line), " ")
		who, said, found := strings.Cut(rest, " ")
		if _, err := time.Parse(time.RFC3339Nano, at); err != nil || !strings.HasSuffix(at, "Z") || !found {
			t.Fatalf("log: got line %.200q, want <time> <container> <text>: %v", line, err)
		}
		if who == container {
			text.WriteString(said)
		}
	}
	return text.String()
}
