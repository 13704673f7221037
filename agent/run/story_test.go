package run_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestStories plays testdata/*.story: a plan, a blank line, then one line a fact with what followed indented under it.
// With -update what followed is written anew: commit that only when you understand what caused it.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.story")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".story"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := tell(t, string(data))
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

// tell plays a story and returns it with what really follows each fact.
func tell(t *testing.T, story string) string {
	t.Helper()
	head, facts, _ := strings.Cut(story, "\n\n")
	plan := storyPlan(t, head)
	r, effects := run.New(plan)
	out := head + "\n\nnew\n" + changes(run.Run{Plan: plan}, r, effects, nil)
	at := plan.CreatedAt
	for line := range strings.Lines(facts) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line == "new" || strings.HasPrefix(line, " ") {
			continue
		}
		out += line + "\n"
		if strings.HasPrefix(line, "#") {
			continue
		}
		at = at.Add(time.Second)
		next, effects, err := r.Apply(storyFact(t, line, at))
		out += changes(r, next, effects, err)
		r = next
	}
	return out
}

// storyPlan reads lines like `check, parallel: unit lint?` (a stage and its tasks, ? =
// ignore_failed, *2 = two retries) and `timeout 1h`.
func storyPlan(t *testing.T, head string) *run.Snapshot {
	t.Helper()
	plan := &run.Snapshot{ID: "story", CreatedAt: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
	for line := range strings.Lines(head) {
		line = strings.TrimSpace(line)
		if limit, ok := strings.CutPrefix(line, "timeout "); ok {
			plan.Timeout, _ = time.ParseDuration(limit)
		}
		if reason, ok := strings.CutPrefix(line, "skip "); ok {
			plan.Skip = reason
		}
		name, tasks, ok := strings.Cut(line, ": ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		name, parallel := strings.CutSuffix(name, ", parallel")
		stage := run.StagePlan{Name: name, Parallel: parallel}
		for task := range strings.FieldsSeq(tasks) {
			task, retries, _ := strings.Cut(task, "*")
			task, ignore := strings.CutSuffix(task, "?")
			plan := run.TaskPlan{Name: task, Line: "local", IgnoreFailed: ignore}
			plan.Retry.Max, _ = strconv.Atoi(retries)
			stage.Tasks = append(stage.Tasks, plan)
		}
		plan.Stages = append(plan.Stages, stage)
	}
	return plan
}

// storyFact reads one line: `started unit/1 by w1`, `created unit/1 u1`, `ended unit/1 failure 2`, `ended
// unit/1 infrastructure 0 begun` (its container had started), `due unit/2 after 10s`, `wrote unit/1 A=b`, `gone unit/1`, `cancel alice`, `expired`, `told pending`, `told failed: reason`.
func storyFact(t *testing.T, line string, at time.Time) run.Fact {
	t.Helper()
	w := append(strings.Fields(line), "", "", "", "")
	task, n, _ := strings.Cut(w[1], "/")
	attempt, _ := strconv.Atoi(n)
	switch w[0] {
	case "started":
		return run.Started{Task: task, Attempt: attempt, Worker: w[3], At: at}
	case "created":
		return run.Created{Task: task, Attempt: attempt, UID: w[2], At: at}
	case "ended":
		code, _ := strconv.Atoi(w[3])
		res := runners.Result{Class: runners.Class(w[2]), ExitCode: code}
		if w[4] == "begun" {
			res.StartedAt = at
		}
		return run.Ended{Task: task, Attempt: attempt, At: at, Result: res}
	case "due":
		wait, _ := time.ParseDuration(w[3])
		return run.Due{Task: task, Attempt: attempt, At: at.Add(wait)}
	case "wrote":
		name, value, _ := strings.Cut(w[2], "=")
		return run.Wrote{Task: task, Attempt: attempt, Outputs: map[string]string{name: value}, At: at}
	case "gone":
		return run.Gone{Task: task, Attempt: attempt, At: at}
	case "cancel":
		return run.Cancel{By: w[1], Reason: "canceled by " + w[1], At: at}
	case "expired":
		return run.Expired{At: at}
	case "told":
		state, reason, _ := strings.Cut(strings.TrimPrefix(line, "told "), ": ")
		return run.Told{To: run.StatusListener, State: state, Error: reason, At: at}
	}
	t.Fatalf("no such fact in a story: %q", line)
	return nil
}

// changes writes what differs between two states of a run, and the effects or the error.
func changes(before, after run.Run, effects []run.Effect, err error) string {
	var b strings.Builder
	if err != nil {
		kind := "impossible"
		if errors.Is(err, run.ErrStale) {
			kind = "stale"
		}
		fmt.Fprintf(&b, "    refused, %s: %v\n", kind, err)
	}
	for i, t := range after.Tasks {
		var was run.Task
		if i < len(before.Tasks) {
			was = before.Tasks[i]
		}
		if was.State != t.State && t.State != run.Pending {
			fmt.Fprintf(&b, "    %s is %s%s\n", t.Name, t.State, because(t.Reason))
		}
		if fmt.Sprint(was.Outputs) != fmt.Sprint(t.Outputs) {
			fmt.Fprintf(&b, "    %s has the outputs %v\n", t.Name, t.Outputs)
		}
	}
	if before.State != after.State {
		fmt.Fprintf(&b, "    the run is %s%s\n", after.State, because(after.Reason))
	}
	for _, e := range effects {
		switch e := e.(type) {
		case run.Enqueue:
			fmt.Fprintf(&b, "    -> enqueue %s/%d\n", e.Task, e.Attempt)
		case run.Stop:
			fmt.Fprintf(&b, "    -> stop %s/%d\n", e.Task, e.Attempt)
		case run.Tell:
			fmt.Fprintf(&b, "    -> tell %s %s\n", e.To, e.State)
		}
	}
	if after.Settled() && !before.Settled() {
		fmt.Fprintln(&b, "    nothing is outstanding any more")
	}
	return b.String()
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}
