package local_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/local"
	"github.com/millrace-ci/millrace/runners/runnertest"
)

// TestEndReachesTheCommand ends commands that have left their process group, and one that has not.
func TestEndReachesTheCommand(t *testing.T) {
	t.Parallel()
	const deaf = `trap "" TERM; echo ready; while :; do sleep 0.1; done`
	const heeds = `trap "echo asked; exit 4" TERM; echo ready; sleep 600 & wait`
	for name, c := range map[string]struct {
		script string
		grace  time.Duration
		code   int
		asked  int           // how often it hears SIGTERM
		within time.Duration // of which it is gone
	}{
		"outside, heeds": {"exec setsid sh -c '" + heeds + "'", 30 * time.Second, 4, 1, 20 * time.Second},
		"outside, deaf":  {"exec setsid sh -c '" + deaf + "'", 100 * time.Millisecond, 137, 0, 4 * time.Second},
		"inside, heeds":  {heeds, 30 * time.Second, 4, 1, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, job := newRunner(t, config(t)), shell(t, c.script)
			job.Grace = c.grace
			uid, err := r.Start(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			var log runnertest.Log
			result := make(chan runners.Result, 1)
			go func() {
				res, err := r.Wait(t.Context(), job.ID, uid, &log)
				if err != nil {
					t.Errorf("wait: %v", err)
				}
				result <- res
			}()
			log.Await(t.Context(), t, "ready")
			begin := time.Now()
			if err := r.Stop(t.Context(), job.ID); err != nil {
				t.Fatal(err)
			}
			wantResult(t, <-result, runners.Canceled, c.code, "canceled")
			if took := time.Since(begin); took > c.within {
				t.Errorf("it took %v to stop it", took)
			}
			if got := strings.Count(log.Text(t, "task"), "asked\n"); got != c.asked {
				t.Errorf("it heard SIGTERM %d times, want %d", got, c.asked)
			}
		})
	}
}

func TestTimeoutOutsideTheGroup(t *testing.T) {
	t.Parallel()
	job := shell(t, "exec setsid sleep 600")
	job.Timeout = 200 * time.Millisecond
	res, _ := end(t, newRunner(t, config(t)), job)
	wantResult(t, res, runners.Timeout, 143, "timeout of 200ms")
}

// TestCommandCannotBeKilled has a command that does not die of SIGKILL, such as another user's: it must not be waited for
// for ever, and the result must not tell that it has ended.
func TestCommandCannotBeKilled(t *testing.T) {
	t.Parallel()
	res := local.EndImmortal(t.Context())
	wantResult(t, res, runners.Timeout, -1, "timeout of 1ms, and its process could not be killed")
}
