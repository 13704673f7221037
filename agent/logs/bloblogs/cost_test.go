package bloblogs_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/logs/bloblogs"
	"github.com/millrace-ci/millrace/agent/logs/logstest"
	"github.com/millrace-ci/millrace/agent/logs/redislogs"
	"github.com/millrace-ci/millrace/internal/redistest"
)

// TestRoundTrips counts what a log costs that is short, as nearly all are.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	redis, bucket := &life{left: 1 << 30}, &life{left: 1 << 30}
	s := bloblogs.New(mortal{w.live, redis}, w.cloud.bucket(t, bucket))
	for _, step := range []struct {
		name          string
		do            func() error
		redis, bucket int
	}{
		{"the first append", func() error { return s.Append(t.Context(), key, 0, []byte("one\n")) }, 2, 1},
		{"an append", func() error { return s.Append(t.Context(), key, 4, []byte("two\n")) }, 1, 0},
		{"a read", func() error { _, err := s.Read(t.Context(), key, 4, maxWait); return err }, 1, 0},
		{"its end", func() error { return s.End(t.Context(), key) }, 4, 2}, // a request opens the writer, in this cloud
		{"its end again", func() error { return s.End(t.Context(), key) }, 1, 0},
		{"a late append", func() error { return s.Append(t.Context(), key, 8, []byte("late")) }, 1, 0},
		{"a read of what is kept", func() error { _, err := s.Read(t.Context(), key, 4, maxWait); return err }, 1, 1},
		{"a read of the end", func() error { _, err := s.Read(t.Context(), key, 8, maxWait); return err }, 1, 0},
	} {
		redis.count, bucket.count = 0, 0
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if redis.count != step.redis || bucket.count != step.bucket {
			t.Errorf("%s: got %d to Redis and %d to the bucket, want %d and %d", step.name, redis.count, bucket.count, step.redis, step.bucket)
		}
	}
}

// scale is live logs that weigh the heap at each step.
type scale struct {
	bloblogs.Live
	most *uint64
}

func (s scale) Look(ctx context.Context, k logs.Key, offset int64) (logs.Chunk, logs.Held, error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	*s.most = max(*s.most, m.HeapAlloc)
	return s.Live.Look(ctx, k, offset)
}

// TestLongLogIsNotHeld writes, keeps and reads 64 MiB. It runs while no other test does, because it weighs the heap.
func TestLongLogIsNotHeld(t *testing.T) {
	const size, limit = 64 << 20, 24 << 20
	rdb := redistest.Start(t).Client()
	dir := t.TempDir()
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most := before.HeapAlloc
	s := bloblogs.New(scale{redislogs.New(rdb, redislogs.Config{}), &most}, files(t, dir))
	fill(t, s, key, size)
	for at := int64(0); at < size; {
		c, err := s.Read(t.Context(), key, at, 0)
		if err != nil || len(c.Data) == 0 || c.Ended != (c.Next == size) {
			t.Fatalf("at %d: got %d bytes, ended %v, %v", at, len(c.Data), c.Ended, err)
		}
		at = c.Next
	}
	if held := most - before.HeapAlloc; held > limit {
		t.Errorf("the heap grew by %d MiB, want less than %d", held>>20, limit>>20)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if info, statErr := os.Stat(filepath.Join(dir, object)); err != nil || len(names) != 1 || statErr != nil || info.Size() != size {
		t.Errorf("the bucket holds %v, %v, %v, want one object of %d bytes", names, info, statErr, size)
	}
}

// fill writes and ends a log of that size.
func fill(t testing.TB, s logs.Logs, k logs.Key, size int64) {
	t.Helper()
	block := bytes.Repeat([]byte("2026-03-01T12:00:00.000000000Z task a line as a build prints them\n"), 900)
	for at := int64(0); at < size; {
		piece := block[:min(int64(len(block)), size-at)]
		if err := s.Append(t.Context(), k, at, piece); err != nil {
			t.Fatal(err)
		}
		at += int64(len(piece))
	}
	if err := s.End(t.Context(), k); err != nil {
		t.Fatal(err)
	}
}

func FuzzAppend(f *testing.F) {
	rdb := redistest.Start(f).Client()
	l := redislogs.New(rdb, redislogs.Config{})
	f.Add([]byte{0, 0, 200, 0, 200, 200, 1, 0, 200, 1, 100, 254, 2, 80, 20, 0, 0, 255, 0, 13, 7})
	f.Add([]byte("splits of one text from any offset, in order or not"))
	f.Fuzz(func(t *testing.T, choices []byte) {
		if len(choices) > 300 {
			return
		}
		if err := rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		logstest.Replay(t, bloblogs.InParts(l, newCloud().bucket(t, nil), 256), key, choices)
	})
}

func BenchmarkAppendSmall(b *testing.B) {
	s := bloblogs.New(redislogs.New(redistest.Start(b).Client(), redislogs.Config{}), files(b, b.TempDir()))
	line := []byte("2026-03-01T12:00:00.000000000Z task a line as a build prints them\n")
	at := int64(0)
	for b.Loop() {
		if err := s.Append(b.Context(), key, at, line); err != nil {
			b.Fatal(err)
		}
		at += int64(len(line))
	}
}

func BenchmarkLog16MiB(b *testing.B) {
	s := bloblogs.New(redislogs.New(redistest.Start(b).Client(), redislogs.Config{}), files(b, b.TempDir()))
	const size = 16 << 20
	b.SetBytes(size)
	for attempt := 0; b.Loop(); attempt++ {
		k := key
		k.Attempt = attempt
		fill(b, s, k, size)
	}
}

// BenchmarkShortLog is what each attempt pays: a first append, and the end.
func BenchmarkShortLog(b *testing.B) {
	s := bloblogs.New(redislogs.New(redistest.Start(b).Client(), redislogs.Config{}), files(b, b.TempDir()))
	for attempt := 0; b.Loop(); attempt++ {
		k := key
		k.Attempt = attempt
		fill(b, s, k, 1000)
	}
}
