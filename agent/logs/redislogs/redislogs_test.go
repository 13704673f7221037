package redislogs_test

import (
	"strconv"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/logs/logstest"
	"github.com/millrace-ci/millrace/agent/logs/redislogs"
	"github.com/millrace-ci/millrace/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLaws(t *testing.T) {
	t.Parallel()
	logstest.Run(t, func(t *testing.T) logs.Logs {
		return redislogs.New(redistest.Start(t).Client(), redislogs.Config{})
	})
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
