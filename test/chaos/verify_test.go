//go:build chaos

package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/store/redisstore"
)

// tally is what all rounds found.
type tally struct{ pushes, accepted, lost, doubled, stuck, misreported atomic.Int64 }

func (s *tally) String() string {
	return fmt.Sprintf("%d pushes, %d of them accepted; %d lost, %d doubled, %d stuck, %d misreported",
		s.pushes.Load(), s.accepted.Load(), s.lost.Load(), s.doubled.Load(), s.stuck.Load(), s.misreported.Load())
}

// settle waits until nothing is left to be done and every branch has a run of its head, also of one that was pushed while
// nobody answered. It returns what is missing after all that time.
func (w *world) settle(heads map[string]string) []string {
	ctx, cancel := patiently()
	defer cancel()
	for {
		left := w.left(ctx, heads)
		if len(left) == 0 {
			w.note("nothing is left to be done")
			return nil
		}
		if ctx.Err() != nil {
			return left
		}
		pass(100 * time.Millisecond)
	}
}

// left is what is to be done still: heads without a run, runs, deliveries, what stands in the lines, processes.
func (w *world) left(ctx context.Context, heads map[string]string) []string {
	ctx = context.WithoutCancel(ctx)
	var left []string
	live, err := w.rdb.ZRange(ctx, "{millrace}:runs:live", 0, -1).Result()
	unplanned, err2 := w.rdb.ZRange(ctx, "{millrace}:inbox:unplanned", 0, -1).Result()
	if err != nil || err2 != nil {
		return []string{fmt.Sprintf("redis does not answer: %v %v", err, err2)}
	}
	for branch, commit := range heads {
		if n, _ := w.rdb.ZCard(ctx, "{millrace}:runs:commit:"+commit[:7]).Result(); n == 0 {
			left = append(left, "head of "+branch)
		}
	}
	for _, id := range live {
		left = append(left, "run "+id)
	}
	for _, id := range unplanned {
		left = append(left, "delivery "+id)
	}
	lines, _ := w.rdb.Keys(ctx, "{millrace}:queue:*:ids").Result()
	for _, key := range lines {
		if n, _ := w.rdb.HLen(ctx, key).Result(); n > 0 && !strings.Contains("{millrace}:queue:reap:ids {millrace}:queue:gaps:ids", key) {
			left = append(left, fmt.Sprintf("%d in %s", n, key))
		}
	}
	return append(left, w.ground.jobs()...)
}

// processes lists the jobs of this world that are still there.
func (w *world) processes() []string {
	var all []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		text, err := os.ReadFile(file)
		args := strings.Split(string(text), "\x00")
		if err == nil && len(args) > 2 && args[1] == "_job" && strings.HasPrefix(args[2], w.dir) {
			all = append(all, "process "+file)
		}
	}
	return all
}

// verify holds what every push became against what it has to become.
func (w *world) verify(made []push, sum *tally) {
	w.t.Helper()
	ctx, cancel := patiently()
	defer cancel()
	runs := redisstore.New(w.rdb, redisstore.Config{})
	ran, accepted, newest := w.ran(sum), w.accepted(), heads(made)
	var attempts []attempt
	for _, p := range made {
		found, _, err := runs.List(ctx, store.Filter{Commit: p.commit}, "", 10)
		if err != nil {
			w.t.Fatal(err)
		}
		sum.pushes.Add(1)
		if accepted[p.commit] {
			sum.accepted.Add(1)
		}
		switch {
		case len(found) == 0 && (accepted[p.commit] || newest[p.branch] == p.commit):
			sum.lost.Add(1)
			w.t.Errorf("%s was accepted (%v) and has no run", p.commit, accepted[p.commit])
		case len(found) > 1:
			sum.doubled.Add(1)
			w.t.Errorf("%s has %d runs", p.commit, len(found))
		case len(found) == 1:
			attempts = append(attempts, attemptsOf(found[0])...)
			if wrong := w.wrong(p, found[0], ran); wrong != "" {
				sum.misreported.Add(1)
				w.t.Errorf("%s of %s (%s): %s", found[0].Plan.ID, p.commit, p.kind.name, wrong)
			}
		}
	}
	w.ground.check(attempts)
}

// attemptsOf are those that a run says it made.
func attemptsOf(r run.Run) (all []attempt) {
	for _, t := range r.Tasks {
		for n := 1; n <= t.Attempt; n++ {
			all = append(all, attempt{r.Plan.ID, t.Name, n})
		}
	}
	return all
}

// accepted are the commits whose deliveries were answered 202.
func (w *world) accepted() map[string]bool {
	all := map[string]bool{}
	for _, d := range w.forge.Deliveries() {
		var body struct{ After string }
		if d.Event == "push" && d.Status == 202 && json.Unmarshal(d.Body, &body) == nil {
			all[body.After] = true
		}
	}
	return all
}

// ran reads the ledger: attempts as RUN/TASK/ATTEMPT. One that stands there twice ran twice.
func (w *world) ran(sum *tally) map[string]bool {
	text, err := os.ReadFile(w.ledger)
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	all := map[string]bool{}
	for line := range strings.FieldsSeq(string(text)) {
		if all[line] {
			sum.doubled.Add(1)
			w.t.Errorf("attempt %s ran its command twice", line)
		}
		all[line] = true
	}
	return all
}

// wrong says what of a run is not as it has to be, "" if nothing is.
func (w *world) wrong(p push, r run.Run, ran map[string]bool) string {
	want := "success"
	if p.kind.ends == run.Failed {
		want = "failure"
	}
	told := "nothing"
	if s := w.forge.Statuses(owner, repository, p.commit); len(s) > 0 {
		told = s[0].State
	}
	switch image, _, _ := r.Task("image"); {
	case r.State != p.kind.ends:
		return fmt.Sprintf("it is %s (%s), want %s: %+v", r.State, r.Reason, p.kind.ends, r.Tasks)
	case image.Attempt != p.kind.attempts:
		return fmt.Sprintf("its last task took %d attempts, want %d: %+v", image.Attempt, p.kind.attempts, image)
	case told != want:
		return fmt.Sprintf("the forge was told %s, want %s", told, want)
	}
	for _, at := range attemptsOf(r) {
		if !ran[at.String()] {
			return "attempt " + at.String() + " did not run its command"
		}
	}
	return ""
}
