package bloblogs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/logs/bloblogs"
	"github.com/millrace-ci/millrace/agent/logs/redislogs"
	"github.com/millrace-ci/millrace/internal/redistest"
)

var key = logs.Key{Run: "abcdefghij234567abcd", Task: "unit", Attempt: 1}

const (
	object = "abcdefghij234567abcd/unit.1.log"
	part   = 70_001
)

// text is six parts and a half of lines that differ.
var text = func() string {
	var all strings.Builder
	for all.Len() < part*13/2 {
		fmt.Fprintf(&all, "line at %d\n", all.Len())
	}
	return all.String()
}()

// world is what agents share.
type world struct {
	t     *testing.T
	rdb   *redis.Client
	live  *redislogs.Logs
	cloud *cloud
}

func newWorld(t *testing.T) *world {
	t.Helper()
	rdb := redistest.Start(t).Client()
	return &world{t, rdb, redislogs.New(rdb, redislogs.Config{MaxSize: maxSize}), newCloud()}
}

// clear forgets everything.
func (w *world) clear() {
	w.t.Helper()
	if err := w.rdb.FlushAll(w.t.Context()).Err(); err != nil {
		w.t.Fatal(err)
	}
	w.cloud = newCloud()
}

// agent is a process with a life.
func (w *world) agent(l *life) *bloblogs.Logs {
	w.t.Helper()
	return bloblogs.InParts(mortal{w.live, l}, w.cloud.bucket(w.t, l), part)
}

// write does what a worker does that begins with the first byte, and tells how far it was before an error.
func write(ctx context.Context, s logs.Logs, piece int) (int, error) {
	for at := 0; at < len(text); at += piece {
		if err := s.Append(ctx, key, int64(at), []byte(text[at:min(at+piece, len(text))])); err != nil {
			return at, err
		}
	}
	return len(text), s.End(ctx, key)
}

// read reads a log from an offset on, as far as there is one.
func (w *world) read(s logs.Logs, offset int64) (all string, ended bool) {
	w.t.Helper()
	var got strings.Builder
	for {
		c, err := s.Read(w.t.Context(), key, offset, 0)
		if err != nil {
			w.t.Fatalf("read at %d: %v", offset, err)
		}
		got.Write(c.Data)
		offset = c.Next
		if c.Ended || len(c.Data) == 0 {
			return got.String(), c.Ended
		}
	}
}

// whole fails the test unless the log is kept, whole, once, and nothing beside.
func (w *world) whole() {
	w.t.Helper()
	if data, err := w.cloud.get(object); err != nil || string(data) != text {
		w.t.Errorf("the object: got %d bytes, %v, want %d", len(data), err, len(text))
	}
	if names := w.cloud.names(); len(names) != 1 {
		w.t.Errorf("the bucket holds %v, want one object", names)
	}
	if n := w.rdb.XLen(w.t.Context(), "{millrace}:log:"+object[:20]+":unit:1").Val(); n != 1 {
		w.t.Errorf("the stream holds %d entries, want the mark alone", n)
	}
	if got, ended := w.read(w.agent(nil), 0); got != text || !ended {
		w.t.Errorf("got %d bytes, ended %v, want %d and ended", len(got), ended, len(text))
	}
}

// TestKilledAnywhere kills an agent after each of its steps, has somebody read what is there, and another agent finish.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const piece = 35_000
	for steps := 1; ; steps++ {
		w.clear()
		l := &life{left: steps}
		at, err := write(t.Context(), w.agent(l), piece)
		if err == nil {
			t.Logf("it takes %d steps", l.count)
			break
		}
		if !errors.Is(err, errKilled) {
			t.Fatalf("after %d steps: got %v", steps, err)
		}
		got, _ := w.read(w.agent(nil), 0)
		if !strings.HasPrefix(text, got) || len(got) < at || len(got) > at+piece {
			t.Fatalf("killed after %d steps with %d bytes appended: a reader got %d", steps, at, len(got))
		}
		if steps%2 == 0 {
			w.ended(at)
		} else if _, err := write(t.Context(), w.agent(nil), part/3); err != nil {
			t.Fatalf("killed after %d steps, and done again: %v", steps, err)
		}
		if w.whole(); t.Failed() {
			t.Fatalf("killed after %d steps", steps)
		}
	}
	w.whole()
}

// ended has an agent finish that cannot begin with the first byte: it goes on after the last line.
func (w *world) ended(atLeast int) {
	w.t.Helper()
	s := w.agent(nil)
	size, line, err := s.Last(w.t.Context(), key)
	if err != nil || size < int64(atLeast) || !strings.Contains(text[:size], line) || size > 100 && line == "" {
		w.t.Fatalf("last: got %d, %q, %v, want %d at least", size, line, err, atLeast)
	}
	if err := s.Append(w.t.Context(), key, size, []byte(text[size:])); err != nil {
		w.t.Fatal(err)
	}
	if err := s.End(w.t.Context(), key); err != nil {
		w.t.Fatal(err)
	}
}

// TestManyAtOnce has agents do the same at the same time, killed again and again, while others follow.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		w.clear()
		var agents, followers sync.WaitGroup
		for range 3 {
			agents.Go(func() {
				for {
					_, err := write(t.Context(), w.agent(&life{left: 1 + rand.IntN(300)}), 1+rand.IntN(part))
					if err == nil {
						return
					}
					if !errors.Is(err, errKilled) {
						t.Errorf("got %v", err)
						return
					}
				}
			})
		}
		for _, from := range []int{0, 1, part, part*3 + 5, len(text) - 1} {
			followers.Go(func() { w.follow(from) })
		}
		agents.Wait()
		followers.Wait()
		if w.whole(); t.Failed() {
			return
		}
	}
}

// follow reads to the end of a log, as it grows.
func (w *world) follow(from int) {
	s, at := w.agent(nil), int64(from)
	for {
		c, err := s.Read(w.t.Context(), key, at, maxWait)
		if err != nil || string(c.Data) != text[at:at+int64(len(c.Data))] || len(c.Data) == 0 && !c.Ended {
			w.t.Errorf("at %d: got %d bytes, ended %v, %v", at, len(c.Data), c.Ended, err)
			return
		}
		if at = c.Next; c.Ended {
			if at != int64(len(text)) {
				w.t.Errorf("ended at %d, want %d", at, len(text))
			}
			return
		}
	}
}

// sleeper is live logs of an agent that sleeps before it says what was moved.
type sleeper struct {
	bloblogs.Live
	sleep func()
}

func (s sleeper) Cut(ctx context.Context, k logs.Key, offset int64) (logs.Held, error) {
	s.sleep()
	return s.Live.Cut(ctx, k, offset)
}

// TestWakesUpLate has an agent write a part, and meanwhile another one all of the log and its end.
func TestWakesUpLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var once sync.Once
	late := bloblogs.InParts(sleeper{w.live, func() {
		once.Do(func() {
			if _, err := write(t.Context(), w.agent(nil), part); err != nil {
				t.Error(err)
			}
			w.cloud.mu.Lock()
			defer w.cloud.mu.Unlock()
			w.cloud.objects[object+".part-000000"] = []byte(text[:part]) // as if it came only now
		})
	}}, w.cloud.bucket(t, nil), part)
	if err := late.Append(t.Context(), key, 0, []byte(text[:3*part])); err != nil {
		t.Fatal(err)
	}
	w.whole()
}
