package redislogs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/logs/redislogs"
	"github.com/millrace-ci/millrace/internal/redistest"
)

// TestCut cuts a log of three entries, which begin at 0, 4 and 8, and tells what is left of it.
func TestCut(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	s := redislogs.New(rdb, redislogs.Config{})
	for at, entry := range []string{"one\n", "two\n", "six\n"} {
		if err := s.Append(t.Context(), key, int64(at*4), []byte(entry)); err != nil {
			t.Fatal(err)
		}
	}
	cut := func(offset, wantFrom int64, wantEnded bool) {
		t.Helper()
		held, err := s.Cut(t.Context(), key, offset)
		if want := (logs.Held{From: wantFrom, To: 12, Ended: wantEnded}); err != nil || held != want {
			t.Errorf("cut at %d: got %+v, %v, want %+v", offset, held, err, want)
		}
	}
	cut(0, 0, false)
	cut(7, 4, false) // an entry stays as a whole
	cut(4, 4, false)
	cut(12, 4, false) // the last entry tells how long the log is
	cut(1<<40, 4, false)
	cut(8, 8, false)
	if _, err := s.Read(t.Context(), key, 7, time.Minute); err == nil || !strings.Contains(err.Error(), "bucket") {
		t.Errorf("read of what was cut: got %v, want to be told where it is", err)
	}
	if c, err := s.Read(t.Context(), key, 9, 0); err != nil || string(c.Data) != "ix\n" {
		t.Errorf("read of what is left: got %q, %v", c.Data, err)
	}
	for range 2 { // adding again what was cut adds nothing
		if held, err := s.Add(t.Context(), key, 0, []byte("one\ntwo\nsix\n")); err != nil || held != (logs.Held{From: 8, To: 12}) {
			t.Errorf("append: got %+v, %v", held, err)
		}
	}
	if size, line, err := s.Last(t.Context(), key); err != nil || size != 12 || line != "" {
		t.Errorf("last: got %d, %q, %v: what is left may be the end of a line", size, line, err)
	}
	if err := s.End(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	cut(12, 12, true)
	if ttl := rdb.TTL(t.Context(), name).Val(); ttl <= 0 || ttl > time.Hour {
		t.Errorf("the mark is kept for %v, want an hour", ttl)
	}
	if err := s.Append(t.Context(), key, 12, []byte("late")); err != nil {
		t.Error(err)
	}
	cut(1<<40, 12, true)
}

func TestCutOfNothing(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	held, err := redislogs.New(rdb, redislogs.Config{}).Cut(t.Context(), key, 5)
	if n := rdb.DBSize(t.Context()).Val(); err != nil || held.Found() || n != 0 {
		t.Errorf("got %+v, %v and %d keys, want nothing", held, err, n)
	}
}

// TestFollowersOfWhatWasMoved waits at the end of a log that ends, and is moved away at once.
func TestFollowersOfWhatWasMoved(t *testing.T) {
	t.Parallel()
	s := redislogs.New(redistest.Start(t).Client(), redislogs.Config{})
	if err := s.Append(t.Context(), key, 0, []byte("all\n")); err != nil {
		t.Fatal(err)
	}
	const readers = 12 // more than block at a time: some look only later
	ends := make(chan logs.Chunk, readers)
	for range readers {
		go func() {
			c, err := s.Read(t.Context(), key, 4, time.Minute)
			if err != nil {
				t.Error(err)
			}
			ends <- c
		}()
	}
	if err := s.End(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Cut(t.Context(), key, 4); err != nil {
		t.Fatal(err)
	}
	late := time.After(30 * time.Second)
	for range readers {
		select {
		case c := <-ends:
			if !c.Ended {
				t.Error("a follower was not told")
			}
		case <-late:
			t.Fatal("a follower is still waiting")
		}
	}
}

func TestKindsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	s := redislogs.New(rdb, redislogs.Config{})
	for kind, want := range map[logs.Kind]string{logs.Output: name, logs.Manifest: name + ":manifest", logs.Evidence: name + ":evidence"} {
		k := key
		k.Kind = kind
		if err := s.Append(t.Context(), k, 0, []byte("x")); err != nil || rdb.Exists(t.Context(), want).Val() != 1 {
			t.Errorf("%q: got %v, and keys %v, want %s", kind, err, rdb.Keys(t.Context(), "*").Val(), want)
		}
	}
	k := key
	k.Kind = "a:b"
	if err := s.Append(t.Context(), k, 0, []byte("x")); err == nil {
		t.Error("a kind with a colon: got no error")
	}
	redistest.Documented(t, rdb, "../../../docs/redis.md")
}

func TestSizesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{-1 << 20, 1000} {
		if err := (redislogs.Config{MaxSize: size}).Validate(); err == nil {
			t.Errorf("logs of %d bytes are valid", size)
		}
	}
}
