package agent_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

const retried = `
name: build
on: push
stages:
  - name: a
    tasks:
      - {name: unit, uses: script@v1, with: {SCRIPT: "true"}, retry: {max: 2, backoff: 30s}}
`

// TestRetry fails twice: each next attempt comes after its backoff, by whichever agent is there then.
func TestRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, retried)
		gate := h.runner.gate("unit")
		gate <- runners.Result{Class: runners.Failure, ExitCode: 2, Reason: "exit code 2"}
		a, _, kill := h.agent()
		h.push(a, pushTo("main"))
		synctest.Wait()
		r := h.theRun()
		if task := r.Tasks[0]; r.State != run.Running || task.State != run.Waiting || task.Attempt != 2 {
			t.Fatalf("the run is %s, its task %s in attempt %d: want it running, waiting for its second", r.State, task.State, task.Attempt)
		}
		if n, err := h.work.Len(t.Context()); err != nil || n.Leased != 0 {
			t.Errorf("a task that waits: %+v in line, error %v: want no worker held", n, err)
		}
		kill()
		_, stop, _ := h.agent()
		defer stop()
		gate <- runners.Result{Class: runners.Failure, ExitCode: 3, StartedAt: time.Now()}
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if got := h.runner.effects("unit"); got != 1 {
			t.Fatalf("the task ran %d times before its backoff was over, want once", got)
		}
		time.Sleep(2 * lease)
		gate <- runners.Result{Class: runners.Succeeded}
		time.Sleep(time.Minute + 2*lease)
		synctest.Wait()
		r = h.theRun()
		if r.State != run.Succeeded || h.runner.effects("unit") != 3 {
			t.Fatalf("the run is %s (%s) after %d attempts, want succeeded after 3", r.State, r.Reason, h.runner.effects("unit"))
		}
		var codes []int
		for _, p := range r.Tasks[0].Past {
			codes = append(codes, p.ExitCode)
		}
		if diff := cmp.Diff([]int{2, 3}, codes); diff != "" {
			t.Errorf("exit codes of the earlier attempts (-want +got):\n%s", diff)
		}
	})
}

// flaky is a runner that cannot start jobs at first.
type flaky struct {
	*fakeRunner
	attempt int // of which that is so
	fail    int // how often
}

func (f *flaky) Start(ctx context.Context, job runners.Job) (string, error) {
	if job.Attempt == f.attempt && f.fail > 0 {
		f.fail--
		return "", errWeather
	}
	return f.fakeRunner.Start(ctx, job)
}

// TestLongBackoff waits so long that the attempt is looked at hundreds of times: none of that is a try, and weather
// at its start is waited for as ever.
func TestLongBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, strings.Replace(retried, "30s", "2h", 1))
		h.as = &flaky{fakeRunner: h.runner, attempt: 2, fail: 2}
		gate := h.runner.gate("unit")
		gate <- runners.Result{Class: runners.Failure, ExitCode: 2}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		synctest.Wait()
		gate <- runners.Result{Class: runners.Succeeded}
		time.Sleep(2*time.Hour + time.Minute)
		synctest.Wait()
		if r := h.theRun(); r.State != run.Succeeded || r.Tasks[0].Attempt != 2 {
			t.Errorf("the run is %s (%s) in attempt %d, want succeeded in its second", r.State, r.Tasks[0].Reason, r.Tasks[0].Attempt)
		}
	})
}

// TestLogNeverEnds loses a log for good: the run ends nevertheless, and says why.
func TestLogNeverEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, retried)
		h.unended = 1 << 30
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if r := h.theRun(); r.State != run.Failed || !strings.Contains(r.Tasks[0].Reason, "given up: end log") {
			t.Errorf("the run is %s (%s), want it failed, given up", r.State, r.Tasks[0].Reason)
		}
	})
}

// turncoat is a runner that has made a job and could not say so, and refuses it from then on.
type turncoat struct {
	*fakeRunner
	job   string
	stops int // that fail
}

func (c *turncoat) Start(ctx context.Context, job runners.Job) (string, error) {
	if c.job != "" {
		return "", fmt.Errorf("%w: its policy has changed", runners.ErrRefused)
	}
	c.job = job.ID
	if _, err := c.fakeRunner.Start(ctx, job); err != nil {
		return "", err
	}
	return "", errWeather
}

func (c *turncoat) Stop(ctx context.Context, id string) error {
	if c.stops > 0 {
		c.stops--
		return errWeather
	}
	return c.fakeRunner.Stop(ctx, id)
}

// TestRefusedWhenJoined has a job made that nobody could note down, and that is refused when it is to be joined: it is
// gone before the attempt is over.
func TestRefusedWhenJoined(t *testing.T) {
	t.Parallel()
	for _, stops := range []int{0, 2} {
		t.Run(fmt.Sprint(stops, " stops fail"), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, retried)
				h.runner.gate("unit")
				c := &turncoat{fakeRunner: h.runner, stops: stops}
				h.as = c
				a, stop, _ := h.agent()
				defer stop()
				h.push(a, pushTo("main"))
				for range 100 {
					time.Sleep(lease / 10)
					synctest.Wait()
					if h.theRun().State.Final() && !h.runner.stopped[c.job] {
						t.Fatal("the run is over, and its job was not stopped")
					}
				}
				if r := h.theRun(); r.State != run.Failed || !strings.Contains(r.Tasks[0].Reason, "its policy has changed") || h.runner.effects("unit") != 1 {
					t.Errorf("the run is %s (%s), want it failed, refused", r.State, r.Tasks[0].Reason)
				}
			})
		})
	}
}

// TestRefusedAtOnce asks a runner for nothing besides that has refused a job from the first.
func TestRefusedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, retried)
		h.as = &turncoat{fakeRunner: h.runner, job: "refused"}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		synctest.Wait()
		if r := h.theRun(); r.State != run.Failed || len(h.runner.stopped) != 0 {
			t.Errorf("the run is %s, stopped were %v: want it failed, and nothing stopped", r.State, h.runner.stopped)
		}
	})
}

// TestCancelWhileItWaits ends a run at once whose only task waits for its next attempt.
func TestCancelWhileItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, retried)
		h.runner.gate("unit") <- runners.Result{Class: runners.Failure, ExitCode: 2}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		synctest.Wait()
		if _, err := a.Cancel(t.Context(), h.theRun().Plan.ID, "carol"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if r := h.theRun(); r.State != run.Canceled || !r.Settled() || h.runner.effects("unit") != 1 {
			t.Errorf("the run is %s, settled %v, after %d attempts: want canceled after one", r.State, r.Settled(), h.runner.effects("unit"))
		}
		if got := h.lengths(); got != [3]int{} {
			t.Errorf("in line for planning, working, reporting: %v, want nothing", got)
		}
	})
}
