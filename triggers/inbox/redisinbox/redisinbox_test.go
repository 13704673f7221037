package redisinbox_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
	"github.com/millrace-ci/millrace/triggers/inbox/inboxtest"
	"github.com/millrace-ci/millrace/triggers/inbox/redisinbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLaws(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	inboxtest.Run(t, func(t *testing.T) inbox.Inbox {
		if err := rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return open(t, rdb, time.Hour)
	})
}

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	in := open(t, rdb, 0)
	use := func(id string) map[string]func() error {
		return map[string]func() error{
			"keep":      func() error { _, err := in.Keep(t.Context(), delivery(id)); return err },
			"get":       func() error { _, err := in.Get(t.Context(), "warm"); return err },
			"settle":    func() error { return in.Settle(t.Context(), "warm", inbox.Outcome{}) },
			"reopen":    func() error { return in.Reopen(t.Context(), "warm") },
			"unplanned": func() error { _, err := in.Unplanned(t.Context(), 100); return err },
			"list":      func() error { _, _, err := in.List(t.Context(), "", 100); return err },
			"trim":      func() error { _, err := in.Trim(t.Context(), noon.Add(-time.Hour), 0); return err },
		}
	}
	keep(t, in, delivery("warm"))
	for verb, do := range use("other") { // also has Redis learn the scripts
		if err := do(); err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
	}
	var trips counter
	rdb.AddHook(&trips)
	for verb, do := range use("third") {
		trips.n.Store(0)
		if err := do(); err != nil || trips.n.Load() != 1 {
			t.Errorf("%s made %d round trips, %v, want 1", verb, trips.n.Load(), err)
		}
	}
}

func TestPairIsKnownAsLongAsDeliveriesAreKept(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	for id, tc := range map[string]struct{ retention, want time.Duration }{
		"short": {time.Hour, inbox.DedupeFor},
		"long":  {200 * time.Hour, 200 * time.Hour},
	} {
		keep(t, open(t, rdb, tc.retention), delivery(id))
		got, err := rdb.PTTL(t.Context(), "{millrace}:inbox:seen:"+triggers.DeliveryID("hub", id)).Result()
		if err != nil || got > tc.want || got < tc.want-time.Minute {
			t.Errorf("retention %v: the pair is known for %v, %v, want %v", tc.retention, got, err, tc.want)
		}
	}
}

func TestUnplannedOneOutlivesItsPair(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	in := open(t, rdb, 0)
	keep(t, in, delivery("d"))
	if err := rdb.Del(t.Context(), "{millrace}:inbox:seen:"+triggers.DeliveryID("hub", "d")).Err(); err != nil { // it expired
		t.Fatal(err)
	}
	for range 2 {
		if r := keep(t, in, delivery("d")); !r.Duplicate || r.ID != "d" {
			t.Errorf("got %+v, want a duplicate of d", r)
		}
	}
}

func TestWhatRedisHolds(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	in := open(t, rdb, 0)
	d := delivery("d")
	d.Body = bytes.Repeat([]byte(`{"ref":"refs/heads/main"} `), 1000)
	keep(t, in, d)
	keys, err := rdb.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	documented(t, rdb, keys)
	size := rdb.HStrLen(t.Context(), "{millrace}:inbox:delivery:d", "body").Val()
	if size == 0 || size > int64(len(d.Body))/10 {
		t.Errorf("the body takes %d bytes of %d, want it compressed", size, len(d.Body))
	}
	if got, err := rdb.Get(t.Context(), "{millrace}:inbox:bytes").Int64(); err != nil || got != size {
		t.Errorf("bytes: got %d, %v, want %d", got, err, size)
	}
	if err := in.Settle(t.Context(), "d", inbox.Outcome{}); err != nil {
		t.Fatal(err)
	}
	documented(t, rdb, []string{"{millrace}:inbox:delivery:d"}) // which has its outcome now
	if _, err := in.Trim(t.Context(), noon.Add(time.Hour), 0); err != nil {
		t.Fatal(err)
	}
	keys, err = rdb.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 2 { // its pair, and the number of bytes
		t.Errorf("after everything was trimmed: got %v, %v, want the pair and the bytes", keys, err)
	}
	if got := rdb.Get(t.Context(), "{millrace}:inbox:bytes").Val(); got != "0" {
		t.Errorf("bytes: got %s, want 0", got)
	}
}

// documented checks that docs/redis.md has a row for each key, which names the fields of a hash.
func documented(t *testing.T, rdb *redis.Client, keys []string) {
	t.Helper()
	doc, err := os.ReadFile("../../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		name := regexp.MustCompile(`:(delivery|seen):.*`).ReplaceAllString(key, ":$1:<")
		_, row, ok := strings.Cut(string(doc), "\n| `"+name)
		if !ok {
			t.Errorf("docs/redis.md has no row for %s", key)
			continue
		}
		row, _, _ = strings.Cut(row, "\n")
		kind := rdb.Type(t.Context(), key).Val()
		if !strings.Contains(row, "| "+kind+" |") {
			t.Errorf("docs/redis.md does not say that %s is a %s", key, kind)
		}
		if kind != "hash" {
			continue
		}
		for _, field := range rdb.HKeys(t.Context(), key).Val() {
			if !strings.Contains(row, "`"+field+"`") {
				t.Errorf("docs/redis.md does not name the field %s of %s", field, key)
			}
		}
	}
}

func TestNewerVersionIsNotGuessedAt(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	in := open(t, rdb, 0)
	keep(t, in, delivery("d"))
	if err := rdb.HSet(t.Context(), "{millrace}:inbox:delivery:d", "v", "2").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Get(t.Context(), "d"); err == nil || !strings.Contains(err.Error(), `version "2"`) {
		t.Errorf("get: got %v, want an error that names the version", err)
	}
	if _, _, err := in.List(t.Context(), "", 10); err == nil || !strings.Contains(err.Error(), `"d"`) {
		t.Errorf("list: got %v, want an error that names the delivery", err)
	}
}

// TestServerIsKilled: what was kept is still there, and Redis learns its scripts again, in the middle of a batch.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	in := open(t, server.Client(), 0)
	keep(t, in, delivery("before"))
	server.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := in.Keep(ctx, delivery("meanwhile")); err == nil {
		t.Error("kept a delivery without a server")
	}
	server.Restart()
	var all sync.WaitGroup
	for _, id := range []string{"before", "a", "b", "c", "e", "f"} {
		all.Go(func() {
			r, err := in.Keep(t.Context(), delivery(id))
			if want := (inbox.Receipt{ID: id, Duplicate: id == "before"}); err != nil || r != want {
				t.Errorf("keep %s: got %+v, %v, want %+v", id, r, err, want)
			}
		})
	}
	all.Wait()
	if got, err := in.Get(t.Context(), "before"); err != nil || !bytes.Equal(got.Body, delivery("before").Body) {
		t.Errorf("get: got %+v, %v, want what was kept", got, err)
	}
}

func TestConfigNamesAllMistakes(t *testing.T) {
	t.Parallel()
	_, err := redisinbox.New(redisinbox.Config{Retention: -1})
	if err == nil || !strings.Contains(err.Error(), "client") || !strings.Contains(err.Error(), "negative") {
		t.Errorf("got %v, want both mistakes named", err)
	}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func delivery(id string) triggers.Delivery {
	return triggers.Delivery{ID: id, Forge: "hub", Key: id, Kind: "push", Body: []byte(`{"id":"` + id + `"}`), At: noon}
}

func open(t testing.TB, rdb redis.UniversalClient, retention time.Duration) *redisinbox.Inbox {
	t.Helper()
	in, err := redisinbox.New(redisinbox.Config{Rdb: rdb, Retention: retention})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func keep(t testing.TB, in inbox.Inbox, d triggers.Delivery) inbox.Receipt {
	t.Helper()
	r, err := in.Keep(t.Context(), d)
	if err != nil {
		t.Fatalf("keep %s: %v", d.ID, err)
	}
	return r
}

// counter counts the round trips of a client.
type counter struct{ n atomic.Int64 }

func (c *counter) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmds)
	}
}
