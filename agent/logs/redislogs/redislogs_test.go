package redislogs_test

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/logs/logstest"
	"github.com/millrace-ci/millrace/agent/logs/redislogs"
	"github.com/millrace-ci/millrace/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLaws(t *testing.T) {
	t.Parallel()
	const maxSize = 4 << 20
	logstest.Run(t, maxSize, func(t *testing.T) logs.Logs {
		return redislogs.New(redistest.Start(t).Client(), redislogs.Config{MaxSize: maxSize})
	})
}

var key = logs.Key{Run: "abcdefghij234567abcd", Task: "unit", Attempt: 1}

const name = "{millrace}:log:abcdefghij234567abcd:unit:1"

func TestLogsAreKeptForATime(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	s := redislogs.New(rdb, redislogs.Config{KeepFor: time.Hour})
	for what, do := range map[string]func() error{
		"append": func() error { return s.Append(t.Context(), key, rdb.XLen(t.Context(), name).Val(), []byte("x")) },
		"end":    func() error { return s.End(t.Context(), key) },
	} {
		rdb.Persist(t.Context(), name)
		if err := do(); err != nil {
			t.Fatal(err)
		}
		if ttl := rdb.TTL(t.Context(), name).Val(); ttl <= 59*time.Minute || ttl > time.Hour {
			t.Errorf("after %s the log is kept for %v, want 1h", what, ttl)
		}
		rdb.Del(t.Context(), name)
	}
	if err := (redislogs.Config{KeepFor: time.Millisecond}).Validate(); err == nil {
		t.Error("keeping logs for a millisecond is valid")
	}
}

// TestSmallPiecesAreReadTogether reads many short lines, as a follower writes them, in one round trip.
func TestSmallPiecesAreReadTogether(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	s := redislogs.New(rdb, redislogs.Config{})
	const line, lines = "ok\n", 1000
	for i := range lines {
		if err := s.Append(t.Context(), key, int64(i*len(line)), []byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	rdb.ConfigResetStat(t.Context())
	c, err := s.Read(t.Context(), key, 1, time.Minute)
	if want := strings.Repeat(line, lines)[1:]; err != nil || string(c.Data) != want {
		t.Errorf("got %d bytes, %v, want %d", len(c.Data), err, len(want))
	}
	if stats := rdb.Info(t.Context(), "commandstats").Val(); strings.Contains(stats, "cmdstat_xread:") {
		t.Error("it blocked although there was something to read")
	}
	redistest.Documented(t, rdb, "../../../docs/redis.md")
}

func TestNewerForm(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: name, ID: "4-0", Values: []string{"v", "2", "data", "what"}})
	_, err := redislogs.New(rdb, redislogs.Config{}).Read(t.Context(), key, 0, 0)
	if err == nil || !strings.Contains(err.Error(), "run the newer Millrace") {
		t.Errorf("got %v, want to be told to run the newer Millrace", err)
	}
}

// TestNamesCannotMeanAnotherLog asks with names that would be one key if they were only joined.
func TestNamesCannotMeanAnotherLog(t *testing.T) {
	t.Parallel()
	s := redislogs.New(redistest.Start(t).Client(), redislogs.Config{})
	for _, k := range []logs.Key{{Run: "a:b", Task: "c", Attempt: 1}, {Run: "a", Task: "b:c", Attempt: 1}} {
		if err := s.Append(t.Context(), k, 0, []byte("x")); err == nil {
			t.Errorf("append to %+v: got no error", k)
		}
		if err := s.End(t.Context(), k); err == nil {
			t.Errorf("end of %+v: got no error", k)
		}
		if _, err := s.Read(t.Context(), k, 0, 0); err == nil {
			t.Errorf("read of %+v: got no error", k)
		}
	}
}

func TestReadWithoutRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := redislogs.New(server.Client(), redislogs.Config{})
	read := make(chan error, 1)
	go func() {
		_, err := s.Read(t.Context(), key, 0, time.Minute)
		read <- err
	}()
	server.Kill()
	select {
	case err := <-read:
		if err == nil {
			t.Error("got no error without Redis")
		}
	case <-time.After(30 * time.Second):
		t.Error("a Read hangs without Redis")
	}
}

func FuzzAppend(f *testing.F) {
	s := redislogs.New(redistest.Start(f).Client(), redislogs.Config{})
	var n atomic.Int64
	f.Add([]byte{0, 0, 9, 0, 4, 9, 0, 0, 99, 0, 0, 255, 0, 13, 7})
	f.Add([]byte("splits of one text from any offset, in order or not"))
	f.Fuzz(func(t *testing.T, choices []byte) {
		if len(choices) > 300 {
			return
		}
		logstest.Replay(t, s, logs.Key{Run: "r" + strconv.FormatInt(n.Add(1), 10), Task: "t", Attempt: 1}, choices)
	})
}
