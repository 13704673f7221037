package run_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
)

// TestStarts: a lane is written as the runs in it, each a pipeline's letter for one that waits, and for one that runs how
// many minutes ago it started, behind it. A run of `a` takes 10 minutes, one of `b` 3, and of `x` nobody knows.
func TestStarts(t *testing.T) {
	t.Parallel()
	takes := map[string]time.Duration{"a": 10 * time.Minute, "b": 3 * time.Minute}
	for _, c := range []struct {
		lane  string
		limit int
		want  string // of the last, "" for unknown
	}{
		{"a4 a", 1, "6m"},
		{"a4 b a", 1, "9m"},
		{"a12 a", 1, "0s"}, // it takes longer than others did
		{"a4 b1 a", 2, "2m"},
		{"a4 b1 a a", 2, "6m"},
		{"a4 b1 b a", 2, "5m"},
		{"a4 b1 b a", 3, "2m"},
		{"a4 b", 2, "0s"}, // it will be let go at once
		{"x1 a", 1, ""},
		{"a4 x a", 1, ""},
		{"a4 x", 1, "6m"},
		{"a4! a", 1, "0s"}, // it is being ended
		{"a4", 1, ""},
		{"? a", 1, ""},
	} {
		var lane run.Lane
		words := strings.Fields(c.lane)
		for i, word := range words {
			id := string(rune('0' + i))
			r := inLane(id, pipeline.Concurrency{Limit: c.limit, WhenFull: pipeline.Queue, MaxQueue: 20}, laneStart)
			r.Plan.Pipeline = word[:1]
			if word == "?" {
				r = run.Unread(id, laneStart, "why")
			} else if len(word) > 1 {
				r.AdmittedAt = laneStart
				r.StartedAt = laneStart.Add(-time.Duration(word[1]-'0') * time.Minute)
				if word == "a12" {
					r.StartedAt = laneStart.Add(-12 * time.Minute)
				}
				if strings.HasSuffix(word, "!") {
					r.Ending = &run.Ending{State: run.Canceled}
				}
			}
			lane = append(lane, r)
		}
		at, known := lane.Starts(string(rune('0'+len(words)-1)), laneStart, func(r run.Run) time.Duration { return takes[r.Plan.Pipeline] })
		want, _ := time.ParseDuration(c.want)
		if known != (c.want != "") || known && at.Sub(laneStart) != want {
			t.Errorf("%s, %d at a time: starts in %s, known %v, want %s", c.lane, c.limit, at.Sub(laneStart), known, c.want)
		}
	}
}

func TestTypical(t *testing.T) {
	t.Parallel()
	var runs []run.Run
	if got := run.Typical(runs); got != 0 {
		t.Errorf("of none: got %s, want 0", got)
	}
	for _, took := range []time.Duration{9 * time.Hour, time.Minute, 2 * time.Minute} {
		runs = append(runs, run.Run{StartedAt: laneStart, EndedAt: laneStart.Add(took)})
	}
	runs = append(runs, run.Run{StartedAt: laneStart}, run.Run{EndedAt: laneStart})
	if got := run.Typical(runs); got != 2*time.Minute {
		t.Errorf("got %s, want 2m", got)
	}
}
