package memlogs_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/logs/logstest"
	"github.com/millrace-ci/millrace/agent/logs/memlogs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLaws(t *testing.T) {
	t.Parallel()
	logstest.Run(t, memlogs.MaxSize, func(*testing.T) logs.Logs { return memlogs.New() })
}

// TestTimeInABubble shows that a waiting Read is durably blocked, and that times are exact.
func TestTimeInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if _, err := memlogs.New().Read(t.Context(), logs.Key{}, 0, time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(began); got != time.Hour {
			t.Errorf("waited %v, want 1h", got)
		}
	})
}

func FuzzAppend(f *testing.F) {
	f.Add([]byte{0, 0, 9, 0, 4, 9, 0, 0, 99, 0, 0, 255, 0, 13, 7})
	f.Add([]byte("splits of one text from any offset, in order or not"))
	f.Fuzz(func(t *testing.T, choices []byte) {
		logstest.Replay(t, memlogs.New(), logs.Key{Run: "r", Task: "t", Attempt: 1}, choices)
	})
}
