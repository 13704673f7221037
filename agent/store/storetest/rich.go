package storetest

import (
	"time"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/triggers"
)

// richEvent is an event with everything that an event can have.
func richEvent() triggers.Event {
	return triggers.Event{
		ID: "d234567abcdefghij", Delivery: "d234567abcdefghij", Kind: triggers.PullRequest, Forge: "gitea",
		Repo: triggers.Repository{ID: "7", Name: "shop/api", HTTPURL: "http://x/shop/api.git", DefaultBranch: "main"},
		Ref:  "refs/pull/7/head", Branch: "feature/\"ü\"", Before: "0123456", After: "89abcdef0123456789abcdef0123456789abcdef",
		Message: "add\n\tcart \u2028 <b>", Author: triggers.Person{Name: "Alice", Email: "alice@example.com"}, Sender: "alice",
		Files: &[]string{}, Labels: []string{"ci"}, Time: start.Add(-time.Minute),
		Request: &triggers.Request{Number: 7, Action: "opened", Status: "open", SourceBranch: "feature", TargetBranch: "main", Fork: true},
	}
}

// richPlan is a snapshot with everything that a snapshot of a run that is run can have.
func richPlan() *run.Snapshot {
	text := "go test ./..."
	script := template.Template{
		Name: "script", Version: "v1", RunsOn: []string{"local"},
		Params:    []param.Decl{{Name: "SCRIPT", Type: param.Text, Use: param.UseTemplate, Required: true, Default: &param.Value{Text: &text}}},
		Container: template.Container{Image: "${IMAGE}", Command: []string{"sh", "-c", "${SCRIPT}"}, Env: map[string]string{"A": "${B}"}},
	}
	settings := []param.Setting{
		{Name: "SCRIPT", Value: param.Value{Text: &text}, Use: param.UseTemplate, Origin: "task unit"},
		{Name: "TAGS", Value: param.Value{List: []param.Value{{Text: &text}, {Output: &param.Output{Task: "unit", Name: "TAG"}}}}, Use: param.UseEnv},
		{Name: "ENV", Value: param.Value{Map: map[string]param.Value{"X": {Text: new(string)}}}, Use: param.UseEnv},
		{Name: "NONE", Value: param.Value{Null: true}, Use: param.UseEnv},
	}
	return &run.Snapshot{
		ID: "abcdefghij234567abcd", Event: richEvent(), Cause: run.Cause{Kind: "delivery", ID: "d234567abcdefghij"},
		Pipeline: "release", File: ".millrace/release.yaml", Timeout: 2 * time.Hour, CreatedAt: start,
		Stages: []run.StagePlan{
			{Name: "check", Parallel: true, Tasks: []run.TaskPlan{
				{Name: "unit", Template: script, Settings: settings, Runner: "local", Line: "local:1", Timeout: time.Minute},
				{Name: "lint", Template: script, Runner: "local", Line: "local:1", IgnoreFailed: true},
				{Name: "slow", Template: script, Runner: "local", Line: "local:1"},
			}},
			{Name: "deploy", Tasks: []run.TaskPlan{{Name: "rollout", Template: script, Runner: "main", Line: "kube:main"}}},
		},
	}
}

// richFacts bring a run of richPlan to where every field of a run is set: an attempt that succeeded with exit code 0,
// one that failed, one whose job is being ended, one that never started; and an ending.
func richFacts() []run.Fact {
	at := start
	tick := func() time.Time { at = at.Add(1234 * time.Millisecond); return at }
	return []run.Fact{
		run.Told{To: run.StatusListener, State: "pending", Error: "answered 502", Again: true, At: tick(), Context: "millrace/release", Text: "waiting"},
		run.Told{
			To: run.StatusListener, State: "pending", Error: "gave up: 403", At: tick(), Context: "millrace/release", Said: "waiting", Text: "it \"waits\"",
			Took: 1234 * time.Millisecond, Status: 403, Answer: "no <é>", Tries: 1,
		},
		run.Started{Task: "unit", Attempt: 1, Worker: "w1", At: tick()},
		run.Created{Task: "unit", Attempt: 1, UID: "u-1", At: tick()},
		run.Started{Task: "lint", Attempt: 1, Worker: "w2", At: tick()},
		run.Started{Task: "slow", Attempt: 1, Worker: "w2", At: tick()},
		run.Ended{Task: "unit", Attempt: 1, At: tick(), Result: runners.Result{
			Class: runners.Succeeded, Outputs: map[string]string{"TAG": "v1\n{\"<é>\"}", "EMPTY": ""}, Summary: "# fine\n\u2028",
		}},
		run.Ended{Task: "lint", Attempt: 1, At: tick(), Result: runners.Result{Class: runners.Failure, ExitCode: 2, Reason: "exit code 2"}},
		run.Cancel{By: "alice", Reason: "canceled by alice", At: tick()},
	}
}

// brokenPlan is the snapshot of a pipeline that cannot be read: its run is failed from the start.
func brokenPlan() *run.Snapshot {
	return &run.Snapshot{
		ID: "broken", Event: richEvent(), File: ".millrace.yaml", CreatedAt: start,
		Problems: []pipeline.Problem{{File: ".millrace.yaml", Pos: param.Pos{Line: 3, Column: 7}, Message: "no such key", Quote: "  stagse:"}},
	}
}

// richDelivery is a plan with everything that a plan can have.
func richDelivery() store.Plan {
	return store.Plan{
		Delivery: "d234567abcdefghij", Event: richEvent(), At: start,
		Explanations: []store.Explained{
			{Explanation: pipeline.Explanation{Pipeline: "release", File: ".millrace/release.yaml", Matched: true, Reason: "push to main"}, Run: "abcdefghij234567abcd"},
			{Explanation: pipeline.Explanation{Pipeline: "docs", File: ".millrace/docs.yaml", Reason: "no path matches docs/**"}},
		},
	}
}
