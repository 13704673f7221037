package agent_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

// asking is a pipeline of one task, which asks for more statuses.
func asking(name, status string) string {
	return fmt.Sprintf("name: %s\non: push\nstatus: {%s}\nstages: [{name: s, tasks: [{name: of-%s, uses: script@v1, with: {SCRIPT: \"true\"}}]}]\n", name, status, name)
}

// TestTasksAreTold tells each task under a context of its own, where the pipeline asks for it.
func TestTasksAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, asking("bread", "tasks: true"), asking("cake", "tasks: false"))
		a, stop, _ := h.agent()
		defer stop()
		h.runner.gate("of-bread") <- runners.Result{Class: runners.Failure, ExitCode: 1, Reason: "exit code 1"}
		h.push(a, pushTo("main"))
		time.Sleep(time.Minute)
		synctest.Wait()
		want := map[string]report.State{"millrace/bread": "failed", "millrace/bread/of-bread": "failed", "millrace/cake": "succeeded"}
		if diff := cmp.Diff(want, h.forge.shown()); diff != "" {
			t.Errorf("(-want +shown):\n%s", diff)
		}
		for _, n := range h.forge.notices {
			if n.Context == "millrace/bread/of-bread" && n.URL != "http://millrace.test/runs/"+n.Run+"#of-bread" {
				t.Errorf("a task's status leads to %s", n.URL)
			}
		}
		for _, r := range h.runs() {
			if !r.Settled() {
				t.Errorf("run of %s is not settled", r.Plan.Pipeline)
			}
		}
	})
}

// TestSumOfACommit sums up all pipelines of the commit, also those that did not ask for it, and follows one that is run again.
func TestSumOfACommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, asking("bread", "sum: true"), asking("cake", "sum: false"), "nonsense: true")
		cake := h.runner.gate("of-cake")
		a, stop, _ := h.agent()
		defer stop()
		id := h.push(a, pushTo("main"))
		shown := func() report.State {
			time.Sleep(time.Minute)
			synctest.Wait()
			return h.forge.shown()["millrace"]
		}
		if got := shown(); got != report.Pending {
			t.Errorf("while one runs: %q, want pending", got)
		}
		cake <- runners.Result{Class: runners.Succeeded}
		if got := shown(); got != report.Failed {
			t.Errorf("in the end: %q, want failed: one cannot be read", got)
		}
		h.files.files = h.files.files[:2]
		again := h.runner.gate("of-cake")
		if _, err := a.Replay(t.Context(), id, ""); err != nil {
			t.Fatal(err)
		}
		if got := shown(); got != report.Pending {
			t.Errorf("while one is run again: %q, want pending", got)
		}
		again <- runners.Result{Class: runners.Succeeded}
		if got := shown(); got != report.Failed {
			t.Errorf("the one that cannot be read is still the newest of its pipeline: %q", got)
		}
	})
}

// TestLateSum has an old sum arrive at the forge after a newer one: who sent it looks again, and mends it.
func TestLateSum(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, asking("bread", "sum: true"), asking("cake", "sum: true"))
		bread, cake := h.runner.gate("of-bread"), h.runner.gate("of-cake")
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		time.Sleep(time.Minute)
		synctest.Wait()
		late := make(chan struct{})
		h.forge.mu.Lock()
		h.forge.hold, h.forge.held = late, "millrace"
		h.forge.mu.Unlock()
		bread <- runners.Result{Class: runners.Succeeded} // "1 of 2 ended" is on its way
		synctest.Wait()
		cake <- runners.Result{Class: runners.Succeeded}
		synctest.Wait()
		if got := h.forge.shown()["millrace"]; got != report.Succeeded {
			t.Fatalf("before the late one: %s, want succeeded", got)
		}
		close(late)
		synctest.Wait()
		if got := h.forge.shown()["millrace"]; got != report.Succeeded {
			t.Errorf("after the late one: %s, want succeeded", got)
		}
	})
}

// TestConfirmsWhatIsInDoubt has the forge fail while the second of two listeners is told how the run ended: that one is
// told once more after a while, the first is not.
func TestConfirmsWhatIsInDoubt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, asking("bread", "tasks: true"))
		bread := h.runner.gate("of-bread")
		failed := false
		h.forge.slow = func(n report.Notice) time.Duration {
			h.forge.mu.Lock()
			defer h.forge.mu.Unlock()
			if n.Context == "millrace/bread/of-bread" && n.State.Final() && !failed {
				h.forge.fail, failed = []error{errWeather}, true
			}
			return 0
		}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		time.Sleep(time.Minute)
		bread <- runners.Result{Class: runners.Succeeded}
		time.Sleep(time.Minute)
		synctest.Wait()
		got := map[string]int{}
		for _, n := range h.forge.notices {
			if n.State.Final() {
				got[n.Context]++
			}
		}
		if diff := cmp.Diff(map[string]int{"millrace/bread": 1, "millrace/bread/of-bread": 2}, got); diff != "" {
			t.Errorf("told how it ended (-want +got):\n%s", diff)
		}
	})
}

// TestSumChangesFast has runs end faster than their sum is told: that is no failure, and leaves no forge alone.
func TestSumChangesFast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		files := []string{asking("bread", "sum: true")}
		for i := range 8 {
			files = append(files, asking(fmt.Sprint("p", i), "sum: false"))
		}
		h := newHouse(t, files...)
		h.capacity = 20
		bread := h.runner.gate("of-bread")
		var gates []chan<- runners.Result
		for i := range 8 {
			gates = append(gates, h.runner.gate(fmt.Sprint("of-p", i)))
		}
		a, stop, _ := h.agent()
		defer stop()
		h.push(a, pushTo("main"))
		time.Sleep(time.Minute)
		synctest.Wait()
		teller, next := "", 1
		h.forge.slow = func(n report.Notice) time.Duration {
			h.forge.mu.Lock()
			defer h.forge.mu.Unlock()
			if n.Context == "millrace" && teller == "" {
				teller = n.ID
			}
			if n.ID != teller {
				return 0
			}
			if next < len(gates) {
				gates[next] <- runners.Result{Class: runners.Succeeded}
				next++
			}
			return 100 * time.Millisecond
		}
		gates[0] <- runners.Result{Class: runners.Succeeded}
		time.Sleep(time.Minute)
		synctest.Wait()
		if next < len(gates) {
			t.Errorf("%d of %d runs have ended", next, len(gates))
		}
		for _, r := range h.runs() {
			for _, told := range r.Told {
				if told.Tries != 1 || told.Error != "" {
					t.Errorf("told %+v, want it to be no failed try", told)
				}
			}
			if r.Plan.Pipeline == "bread" && len(r.Untold()) > 0 {
				t.Errorf("not told: %v", r.Untold())
			}
		}
		bread <- runners.Result{Class: runners.Succeeded}
		synctest.Wait()
	})
}

// TestSumsOfManyAgents ends many runs of a commit at about the same time, told of by several agents over a slow forge
// that refuses now and then, one of which is killed: what is shown in the end is how the runs are.
func TestSumsOfManyAgents(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			var files []string
			for i := range 6 {
				files = append(files, asking(fmt.Sprint("p", i), "sum: true, tasks: true"))
			}
			h := newHouse(t, files...)
			want := report.Succeeded
			var gates []chan<- runners.Result
			for i := range 6 {
				gates = append(gates, h.runner.gate(fmt.Sprint("of-p", i)))
			}
			h.forge.slow = func(n report.Notice) time.Duration {
				h.forge.mu.Lock()
				defer h.forge.mu.Unlock()
				if n.Context != "millrace" {
					return 0
				}
				if random.IntN(20) == 0 {
					h.forge.fail = append(h.forge.fail, errWeather)
				}
				return time.Duration(random.IntN(3000)) * time.Millisecond
			}
			a, stop, _ := h.agent()
			_, _, kill := h.agent()
			_, stopToo, _ := h.agent()
			defer stopToo()
			defer stop()
			h.push(a, pushTo("main"))
			time.Sleep(20 * time.Second)
			for _, gate := range gates {
				h.forge.mu.Lock()
				pause, fails := time.Duration(random.IntN(800))*time.Millisecond, random.IntN(20) == 0
				h.forge.mu.Unlock()
				time.Sleep(pause)
				class := runners.Succeeded
				if fails {
					class, want = runners.Failure, report.Failed
				}
				gate <- runners.Result{Class: class}
			}
			kill()
			time.Sleep(time.Hour)
			synctest.Wait()
			if got := h.forge.shown()["millrace"]; got != want {
				t.Errorf("seed %d: %s is shown, want %s", seed, got, want)
			}
			for _, r := range h.runs() {
				if !r.Settled() || r.State == run.Running {
					t.Errorf("seed %d: run %s is %s, settled %v", seed, r.Plan.Pipeline, r.State, r.Settled())
				}
			}
		})
	}
}
