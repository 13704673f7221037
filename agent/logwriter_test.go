package agent_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

// TestLargestLogIsKept has the longest log that a runner hands on: where it is kept it is not cut again.
func TestLargestLogIsKept(t *testing.T) {
	t.Parallel()
	if most := runners.MaxLog + 256; most > logs.MaxSize {
		t.Errorf("a runner hands on %d bytes with the line about what is not kept, %d are kept", most, logs.MaxSize)
	}
}

// largeLog is a log of which nothing is kept but how long it is, and what it says.
type largeLog struct {
	said hash.Hash
	size int64
	sent int64 // bytes that were appended, whether it had them or not
}

func (l *largeLog) append(offset int64, data []byte) error {
	l.sent += int64(len(data))
	if offset > l.size {
		return logs.ErrGap
	}
	if have := l.size - offset; have < int64(len(data)) {
		l.said.Write(data[have:])
		l.size = offset + int64(len(data))
	}
	return nil
}

// talker is a runner whose jobs say 40 MiB, and which breaks down once in the middle of that.
type talker struct {
	*fakeRunner
	line   []byte
	broken bool
}

const lines = 40 << 10

func (r *talker) Wait(ctx context.Context, id, uid string, log runners.Log) (runners.Result, error) {
	for i := range lines {
		if i == lines/2 && !r.broken {
			r.broken = true
			return runners.Result{}, errWeather
		}
		if _, err := log.Write(r.line); err != nil {
			return runners.Result{}, err
		}
	}
	return r.fakeRunner.Wait(ctx, id, uid, discard{})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Mask(...string)              {}
func (discard) Resume() (string, error)     { return "", nil }

// TestLargeLog brings 40 MiB to the log, whole, and what is there already but once.
func TestLargeLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, retried)
		h.large = &largeLog{said: sha256.New()}
		r := &talker{fakeRunner: h.runner, line: append(bytes.Repeat([]byte("x"), 1023), '\n')}
		h.as = r
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		time.Sleep(10 * lease)
		synctest.Wait()
		want := sha256.New()
		for range lines {
			want.Write(r.line)
		}
		if got := h.theRun(); got.State != run.Succeeded || fmt.Sprintf("%x", h.large.said.Sum(nil)) != fmt.Sprintf("%x", want.Sum(nil)) {
			t.Errorf("the run is %s (%s), its log has %d bytes: want it succeeded, and all %d", got.State, got.Reason, h.large.size, lines*len(r.line))
		}
		if most := h.large.size + 64<<10; h.large.sent > most {
			t.Errorf("%d bytes were sent to the log, want %d at most: it has most of them already", h.large.sent, most)
		}
	})
}
