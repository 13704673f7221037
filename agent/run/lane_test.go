package run_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/triggers"
)

// laneStart is when the first run of a lane under test is made.
var laneStart = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// inLane makes a run of one task that stands in a lane.
func inLane(id string, c pipeline.Concurrency, happened time.Time) run.Run {
	plan := &run.Snapshot{
		ID: id, Event: triggers.Event{Time: happened}, CreatedAt: laneStart, Lane: &run.LanePlan{Name: "lane", Concurrency: c},
		Stages: []run.StagePlan{{Name: "s", Tasks: []run.TaskPlan{{Name: "t", Line: "local"}}}},
	}
	r, _ := run.New(plan)
	return r
}

// TestLaneStories plays testdata/lane/*.story: what the pipeline says, a blank line, then one line per thing that happens
// with what followed indented under it. -update writes what followed anew.
func TestLaneStories(t *testing.T) {
	files, err := filepath.Glob("testdata/lane/*.story")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".story"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := tellLane(t, string(data))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(data), got); diff != "" {
				t.Errorf("the story goes otherwise (-file +played):\n%s", diff)
			}
		})
	}
}

// tellLane plays one story: `arrives a`, `arrives a, happened before b`, `started a`, `succeeded a`, `gone a`, `cancel a`.
func tellLane(t *testing.T, story string) string {
	t.Helper()
	head, lines, _ := strings.Cut(story, "\n\n")
	c := storyConcurrency(head)
	out := head + "\n\n"
	var lane run.Lane
	at := laneStart
	for line := range strings.Lines(lines) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, " ") {
			continue
		}
		out += line + "\n"
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at = at.Add(time.Second)
		w := append(strings.Fields(line), "")
		id := strings.TrimSuffix(w[1], ",")
		i := slices.IndexFunc(lane, func(r run.Run) bool { return r.Plan.ID == id })
		switch w[0] {
		case "arrives":
			happened := at
			if _, other, ok := strings.Cut(line, "happened before "); ok {
				j := slices.IndexFunc(lane, func(r run.Run) bool { return r.Plan.ID == other })
				happened = lane[j].Plan.Event.Time.Add(-time.Millisecond)
			}
			lane = append(lane, inLane(id, c, happened))
		case "started":
			lane[i] = told(t, lane[i], run.Started{Task: "t", Attempt: 1, Worker: "w", At: at})
		case "succeeded":
			lane[i] = told(t, lane[i], run.Ended{Task: "t", Attempt: 1, Result: runners.Result{Class: runners.Succeeded}, At: at})
		case "gone":
			lane[i] = told(t, lane[i], run.Gone{Task: "t", Attempt: 1, At: at})
		case "cancel":
			lane[i] = told(t, lane[i], run.Cancel{By: "carol", Reason: "canceled by carol", At: at})
		default:
			t.Fatalf("nothing in a story is called %q", line)
		}
		var follows string
		lane, follows = settleLane(t, lane, at)
		out += follows
	}
	return out
}

func told(t *testing.T, r run.Run, f run.Fact) run.Run {
	t.Helper()
	next, _, err := r.Apply(f)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// settleLane tells verdicts until there are none, and returns who is left and how each of them is.
func settleLane(t *testing.T, lane run.Lane, at time.Time) (left run.Lane, follows string) {
	t.Helper()
	live := func(r run.Run) bool { return !r.State.Final() }
	lane = slices.DeleteFunc(lane, func(r run.Run) bool { return !live(r) })
	for verdicts := lane.Admit(at); len(verdicts) > 0; verdicts = lane.Admit(at) {
		for _, v := range verdicts {
			i := slices.IndexFunc(lane, func(r run.Run) bool { return r.Plan.ID == v.Run.Plan.ID })
			lane[i] = told(t, v.Run, v.Fact)
			switch v.Fact.(type) {
			case run.Admitted:
				follows += fmt.Sprintf("    %s may start\n", v.Run.Plan.ID)
			default:
				follows += fmt.Sprintf("    %s is %s (%s)\n", v.Run.Plan.ID, lane[i].State, lane[i].Reason)
			}
		}
		lane = slices.DeleteFunc(lane, func(r run.Run) bool { return !live(r) })
	}
	for _, r := range lane {
		if nth, before := lane.Position(r.Plan.ID); nth > 0 {
			follows += fmt.Sprintf("    %s %s: number %d, behind %s\n", r.Plan.ID, r.Reason, nth, before)
		}
	}
	return lane, follows
}

// storyConcurrency reads lines like `limit: 2`.
func storyConcurrency(head string) pipeline.Concurrency {
	p := pipeline.Pipeline{Concurrency: pipeline.Concurrency{Group: "main"}}
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		n, _ := strconv.Atoi(value)
		switch key {
		case "limit":
			p.Concurrency.Limit = n
		case "when_full":
			p.Concurrency.WhenFull = value
		case "max_queue":
			p.Concurrency.MaxQueue = n
		}
	}
	return p.ConcurrencyOf(triggers.Event{})
}

// TestRunWithoutALaneIsAdmitted holds that a run of a Millrace that knew no lanes starts, and needs nobody's leave.
func TestRunWithoutALaneIsAdmitted(t *testing.T) {
	t.Parallel()
	plan := inLane("r", pipeline.Concurrency{}, laneStart).Plan
	plan.Lane = nil
	r, effects := run.New(plan)
	if r.InLane() || r.Held() || r.Tasks[0].State != run.Queued || !slices.Contains(effects, run.Effect(run.Enqueue{Task: "t", Attempt: 1, Line: "local"})) {
		t.Errorf("in a lane %v, held %v, task %s, effects %v; want it in line", r.InLane(), r.Held(), r.Tasks[0].State, effects)
	}
	if next, _, err := r.Apply(run.Admitted{At: laneStart}); err != nil || !next.Same(r) {
		t.Errorf("admitted: %v, changed %v; want that nothing happens", err, !next.Same(r))
	}
	if _, _, err := r.Apply(run.Dropped{At: laneStart}); !errors.Is(err, run.ErrStale) {
		t.Errorf("dropped: got %v, want %v", err, run.ErrStale)
	}
}

// TestLaneNames holds which runs share a lane.
func TestLaneNames(t *testing.T) {
	t.Parallel()
	name := func(change func(*run.Compilation, *pipeline.Pipeline)) string {
		c := compilation()
		c.Event.Forge, c.Event.Repo.Name, c.Event.Ref = "gitea", "shop/api", "refs/heads/main"
		p := decode(t, "x.yaml", []byte("name: build\nconcurrency: {group: '{branch}'}\n"+oneTask))
		change(&c, &p)
		s, problems := run.Compile(p, c)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return s.Lane.Name
	}
	same := func(*run.Compilation, *pipeline.Pipeline) {}
	base := name(same)
	fork := func(ref string) func(*run.Compilation, *pipeline.Pipeline) {
		return func(c *run.Compilation, _ *pipeline.Pipeline) {
			c.Event.Kind, c.Event.Ref, c.Event.Request = triggers.PullRequest, ref, &triggers.Request{Fork: true}
		}
	}
	for what, tc := range map[string]struct {
		got   string
		share bool
	}{
		"another pipeline, the same group": {name(func(_ *run.Compilation, p *pipeline.Pipeline) { p.Name = "test" }), true},
		"another event":                    {name(func(c *run.Compilation, _ *pipeline.Pipeline) { c.Event.ID = "d2" }), true},
		"a request of the repository": {name(func(c *run.Compilation, _ *pipeline.Pipeline) {
			c.Event.Ref, c.Event.Request = "refs/pull/7/head", &triggers.Request{}
		}), true},
		"another branch":     {name(func(c *run.Compilation, _ *pipeline.Pipeline) { c.Event.Branch = "feature" }), false},
		"another repository": {name(func(c *run.Compilation, _ *pipeline.Pipeline) { c.Event.Repo.Name = "shop/web" }), false},
		"another forge":      {name(func(c *run.Compilation, _ *pipeline.Pipeline) { c.Event.Forge = "github" }), false},
		"another group":      {name(func(_ *run.Compilation, p *pipeline.Pipeline) { p.Concurrency.Group = "deploy" }), false},
		"the default group":  {name(func(_ *run.Compilation, p *pipeline.Pipeline) { p.Concurrency.Group = "" }), false},
		"a fork's request":   {name(fork("refs/pull/7/head")), false},
	} {
		if (tc.got == base) != tc.share || len(tc.got) != 20 {
			t.Errorf("%s: lane %s, shared %v, want %v", what, tc.got, tc.got == base, tc.share)
		}
	}
	again := func(c *run.Compilation, p *pipeline.Pipeline) { fork("refs/pull/7/head")(c, p); c.Event.ID = "d2" }
	if seventh := name(fork("refs/pull/7/head")); seventh != name(again) || seventh == name(fork("refs/pull/8/head")) {
		t.Error("a fork's lane is not that of its request")
	}
}
