//go:build lab

package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-ci/millrace/agent/api"
	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/test/forgekit"
)

const (
	pushes, width = 30, 10 // so many pushes, each of so many tasks side by side
	kills         = 5
	ahead         = 50 // so many tasks are pushed that have no Job yet
)

// TestThreeHundredJobs kills the agent with -9 five times while pushes come in and 300 Jobs are made and end: 300 Jobs
// are made, none twice, and each is accounted for. When E2E_SEED is set, the kills are those of that seed.
func TestThreeHundredJobs(t *testing.T) {
	seed := rand.Uint64()
	if text := os.Getenv("E2E_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("E2E_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	w := newWorld(t, newGitea(t, false))
	c := newCensus(t, w.lab)
	if err := w.forge.create("flour"); err != nil {
		t.Fatal(err)
	}
	d := w.serve()
	w.step("ready")

	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Minute, fmt.Errorf("not all was made after 10 minutes"))
	defer cancel()
	var commits []string
	var pushing errgroup.Group
	pushing.Go(func() (err error) {
		commits, err = w.pushAll(ctx, c)
		return err
	})
	for _, at := range points(random) {
		if err := c.reach(ctx, at); err != nil {
			t.Fatal(err)
		}
		pass(time.Duration(random.IntN(400)) * time.Millisecond)
		d.end(t, syscall.SIGKILL)
		made := c.count()
		d = w.serve()
		w.step("killed behind Job %d of %d, and started again", at, made)
		w.redeliver()
	}
	if err := pushing.Wait(); err != nil {
		t.Fatal(err)
	}
	w.redeliver()
	if err := c.reach(ctx, pushes*width); err != nil {
		t.Error(err) // What is missing is told below.
	}
	w.step("all Jobs are made")
	for _, commit := range commits {
		if s := w.forge.verdict(t, "flour", commit, "grind", 3*time.Minute); s.state != "success" {
			t.Errorf("%s: %+v", commit, s)
		}
	}
	w.step("all is green")
	w.accountedFor(c)
	w.step("accounted for")
}

// points are the numbers of Jobs behind which the agent is killed.
func points(random *rand.Rand) []int {
	all := make([]int, kills)
	for i := range all {
		all[i] = 1 + random.IntN(pushes*width-1)
	}
	slices.Sort(all)
	return all
}

// reach waits until n Jobs were made.
func (c *census) reach(ctx context.Context, n int) error {
	if err := c.changed.Wait(ctx, func() bool { return c.count() >= n }); err != nil {
		return fmt.Errorf("%d of %d Jobs: %w", c.count(), n, err)
	}
	return nil
}

// pushAll pushes one commit after another, each when most tasks of those before have their Job.
func (w *world) pushAll(ctx context.Context, c *census) ([]string, error) {
	var tasks strings.Builder
	for i := range width {
		fmt.Fprintf(&tasks, "      - {name: stone-%d, uses: script@v1, with: {IMAGE: %s, SCRIPT: 'echo ground $TASK_ID'}}\n", i, labtest.Busybox)
	}
	files := map[string]string{".millrace.yaml": "name: grind\non: push\nconcurrency: {group: '{commit}'}\nstages:\n  - name: all\n    parallel: true\n    tasks:\n" + tasks.String()}
	tree, err := forgekit.Clone(ctx, w.forge.clone("flour"), "main")
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	var commits []string
	for i := range pushes {
		if err := c.reach(ctx, i*width-ahead); err != nil {
			return nil, err
		}
		commit, err := tree.Commit(ctx, fmt.Sprintf("Grind %d", i), files)
		if err != nil {
			return nil, err
		}
		if err := tree.Push(ctx); err != nil {
			return nil, err
		}
		commits = append(commits, commit)
	}
	return commits, nil
}

// redeliver sends again what no agent took, as the forge's button does.
func (w *world) redeliver() {
	w.t.Helper()
	for _, d := range w.forge.refused() {
		if w.taken[d.UUID] {
			continue
		}
		req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, d.URL, bytes.NewReader(d.Body))
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header = d.Header.Clone()
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusAccepted {
			w.t.Fatalf("delivery %s: %s %s", d.UUID, res.Status, body)
		}
		w.taken[d.UUID] = true
	}
}

// accountedFor checks that every run has ended well, and that its attempts had one Job, one pod and one log each.
func (w *world) accountedFor(c *census) {
	w.t.Helper()
	var runs []api.Run
	poll(w.t, time.Minute, "all that was told is noted", func() bool { // A telling is noted behind it.
		runs = w.runs("")
		return !slices.ContainsFunc(runs, func(r api.Run) bool { return r.Status == nil || r.Status.State != string(r.State) })
	})
	names := map[string]bool{}
	if len(runs) != pushes {
		w.t.Errorf("%d runs, want %d", len(runs), pushes)
	}
	for _, r := range runs {
		if r.State != "succeeded" {
			w.t.Errorf("run %s: %s %s", r.ID, r.State, r.Reason)
		}
		for _, one := range r.Stages[0].Tasks {
			if one.State != "succeeded" || one.Attempt != 1 {
				w.t.Errorf("run %s: %+v", r.ID, one)
			}
			names[runners.JobID(r.ID, 1, one.Name)] = true
			if log := w.kept(r, one.Name, "log"); strings.Count(log, " task ground "+r.ID+"/"+one.Name+"\n") != 1 {
				w.t.Errorf("run %s: log of %s:\n%s", r.ID, one.Name, log)
			}
		}
	}
	if len(names) != pushes*width {
		w.t.Errorf("%d attempts, want %d", len(names), pushes*width)
	}
	c.check(w.t, names)
}
