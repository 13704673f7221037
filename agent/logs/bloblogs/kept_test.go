package bloblogs_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/logs/bloblogs"
	"github.com/millrace-ci/millrace/internal/redistest"
)

// TestStreamStaysSmall watches where a log is while it is written: the newest bytes in Redis, the others in parts.
func TestStreamStaysSmall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.agent(nil)
	for at := 0; at < len(text); at += 5000 {
		if err := s.Append(t.Context(), key, int64(at), []byte(text[at:min(at+5000, len(text))])); err != nil {
			t.Fatal(err)
		}
		_, held, err := w.live.Look(t.Context(), key, 0)
		if size := held.To - held.From; err != nil || size > 2*part || held.From > 0 && size < part {
			t.Fatalf("the stream holds %+v, %v, want between one and two parts", held, err)
		}
		if got, want := int64(len(w.cloud.names())), (held.From+part-1)/part; got != want {
			t.Fatalf("the bucket holds %d parts, want %d before %d", got, want, held.From)
		}
	}
	redistest.Documented(t, w.rdb, "../../../docs/redis.md")
	if err := s.End(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	w.whole()
	if ttl := w.rdb.TTL(t.Context(), w.rdb.Keys(t.Context(), "*").Val()[0]).Val(); ttl <= 0 || ttl > time.Hour {
		t.Errorf("the mark is kept for %v, want an hour", ttl)
	}
}

// TestRedisForgot has late writers and readers of what is only in the bucket.
func TestRedisForgot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := write(t.Context(), w.agent(nil), part); err != nil {
		t.Fatal(err)
	}
	if err := w.rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s := w.agent(nil)
	for _, at := range []int64{0, 7, int64(len(text)), 1 << 40} {
		if err := s.Append(t.Context(), key, at, []byte("late")); err != nil {
			t.Errorf("append at %d: %v", at, err)
		}
	}
	if err := s.End(t.Context(), key); err != nil {
		t.Error(err)
	}
	if keys := w.rdb.Keys(t.Context(), "*").Val(); len(keys) > 0 {
		t.Errorf("Redis holds %v, want nothing", keys)
	}
	for _, at := range []int{0, 1, part, len(text) - 1, len(text)} {
		if got, ended := w.read(s, int64(at)); got != text[at:] || !ended {
			t.Errorf("from %d: got %d bytes, ended %v, want %d and ended", at, len(got), ended, len(text)-at)
		}
	}
	c, err := s.Read(t.Context(), key, 1<<40, maxWait)
	if err != nil || !c.Ended || c.Next != 1<<40 {
		t.Errorf("beyond the end: got %+v, %v, want the end", c, err)
	}
	size, line, err := s.Last(t.Context(), key)
	if want := text[strings.LastIndex(text[:len(text)-1], "\n")+1:]; size != int64(len(text)) || line != want || err != nil {
		t.Errorf("last: got %d, %q, %v, want %d, %q", size, line, err, len(text), want)
	}
}

// TestSilentLog keeps a log without a byte, too: else somebody who comes late would begin it.
func TestSilentLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.agent(nil)
	for range 2 {
		if err := s.End(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), key, 0, []byte("late")); err != nil {
		t.Error(err)
	}
	if got, ended := w.read(s, 0); got != "" || !ended {
		t.Errorf("got %q, ended %v, want nothing and ended", got, ended)
	}
}

// TestBucketAway appends while the bucket cannot be written: nothing is lost, and the writer is told to wait.
func TestBucketAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	away := bloblogs.InParts(w.live, w.cloud.bucket(t, &life{}), part)
	if err := w.live.End(t.Context(), logs.Key{Run: key.Run, Task: "seen", Attempt: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.live.Add(t.Context(), key, 0, []byte(text[:2*part])); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := away.Append(t.Context(), key, 2*part, []byte(text[2*part:2*part+10])); err == nil {
			t.Error("append: got no error")
		}
		if err := away.End(t.Context(), logs.Key{Run: key.Run, Task: "seen", Attempt: 1}); err == nil {
			t.Error("end: got no error")
		}
	}
	if _, held, err := w.live.Look(t.Context(), key, 0); err != nil || held.To != 2*part+10 || held.From != 0 {
		t.Errorf("the stream holds %+v, %v, want all that was appended", held, err)
	}
	if _, err := write(t.Context(), w.agent(nil), 10_000); err != nil {
		t.Fatal(err)
	}
	w.whole()
}

// TestAnotherBucket reads where the agent that wrote has another bucket.
func TestAnotherBucket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := write(t.Context(), w.agent(nil), part); err != nil {
		t.Fatal(err)
	}
	other := bloblogs.InParts(w.live, newCloud().bucket(t, nil), part)
	_, err := other.Read(t.Context(), key, 0, 0)
	if err == nil || !strings.Contains(err.Error(), "logs.bucket") {
		t.Errorf("got %v, want an error that names the setting", err)
	}
}

func TestNamesThatAreNone(t *testing.T) {
	t.Parallel()
	s := newWorld(t).agent(nil)
	for _, k := range []logs.Key{
		{Run: "", Task: "t"},
		{Run: "r", Task: ""},
		{Run: "..", Task: "t"},
		{Run: "r", Task: "../../x"},
		{Run: "r/s", Task: "t"},
		{Run: "r", Task: "a b"},
		{Run: "r\x00", Task: "t"},
		{Run: "r", Task: "t", Kind: "a/b"},
		{Run: "r", Task: "t", Attempt: -1},
		{Run: strings.Repeat("r", 200), Task: "t"},
	} {
		_, err := s.Read(t.Context(), k, 0, 0)
		_, _, lastErr := s.Last(t.Context(), k)
		if err == nil || lastErr == nil || s.Append(t.Context(), k, 0, nil) == nil || s.End(t.Context(), k) == nil {
			t.Errorf("%+v: got no error", k)
		}
	}
}

func TestKindsAreObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, kind := range []logs.Kind{logs.Output, logs.Manifest, logs.Evidence} {
		k := key
		k.Kind = kind
		if err := w.agent(nil).Append(t.Context(), k, 0, []byte("kind: Job\n")); err != nil {
			t.Fatal(err)
		}
		if err := w.agent(nil).End(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	const run = "abcdefghij234567abcd/"
	if got, want := strings.Join(w.cloud.names(), " "), run+"unit.1.evidence "+run+"unit.1.log "+run+"unit.1.manifest"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	redistest.Documented(t, w.rdb, "../../../docs/redis.md")
}

// shaky is a connection to a bucket of which so many listings fail, as a folder's does where a file goes while it is read.
type shaky struct {
	*connection
	fails, asked int
}

func (s *shaky) ListPaged(ctx context.Context, opts *driver.ListOptions) (*driver.ListPage, error) {
	s.asked++
	switch {
	case s.asked > 1000:
		return nil, errKilled
	case s.asked <= s.fails:
		return nil, errNotThere
	}
	return s.connection.ListPaged(ctx, opts)
}

// TestListingFails holds that a listing in which a file is missing is done again, and that a bucket which is missing
// itself is an error before long.
func TestListingFails(t *testing.T) {
	t.Parallel()
	there := newCloud()
	there.objects[key.Run+"/some"] = []byte("text")
	s := &shaky{connection: &connection{there, nil}, fails: 3}
	kept := bloblogs.New(live(t), closed(t, blob.NewBucket(s)))
	if size, err := kept.Size(t.Context(), key.Run, []logs.Key{key}); err != nil || size != 4 {
		t.Errorf("size is %d, %v; want 4", size, err)
	}
	s.fails = 1 << 20
	if _, err := kept.Size(t.Context(), key.Run, []logs.Key{key}); gcerrors.Code(err) != gcerrors.NotFound {
		t.Errorf("size: got %v, want what the bucket said", err)
	}
	if err := kept.Forget(t.Context(), key.Run, []logs.Key{key}); gcerrors.Code(err) != gcerrors.NotFound || s.asked > 100 {
		t.Errorf("forget: got %v after %d listings, want what the bucket said, soon", err, s.asked)
	}
}
