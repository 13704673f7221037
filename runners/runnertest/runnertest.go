// Package runnertest holds the laws that every runners.Runner keeps. A runner's tests call Run; it calls nothing but the
// contract, and looks at jobs through their results, their output and the files of Kit.Dir.
package runnertest

import (
	"context"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/runners"
)

// Kit is what the laws need of a runner.
type Kit struct {
	// New makes another Runner on the same jobs, as another process would have it.
	New func(t *testing.T) runners.Runner
	// Job makes a job with an id of its own, no source, no timeout and a grace of 5 s, that runs a POSIX shell script.
	Job func(t *testing.T, script string) runners.Job
	// Secret keeps a value where this runner's operator would, and names it, without what it becomes.
	Secret func(t *testing.T, value string) runners.Secret
	// Dir is a folder that jobs see under the same path.
	Dir string
}

// limit bounds what a law waits for.
const limit = time.Minute

// Run checks the laws. Each gets a Kit of its own.
func Run(t *testing.T, kit func(t *testing.T) Kit) {
	laws := []struct {
		name string
		law  func(t *testing.T, k Kit)
	}{
		{"a command that ends with 0 succeeded", succeeds},
		{"a command's exit code is a result", fails},
		{"output is complete and in order", outputWhole},
		{"output that is no text is made text", outputText},
		{"starting twice makes one job", startTwice},
		{"twenty that start at once make one job", startAtOnce},
		{"starting what has ended makes nothing", startEnded},
		{"two watchers see the same", twoWatchers},
		{"ending the watch leaves the job alive", watchEnds},
		{"another process joins", joins},
		{"an unknown job is lost", unknownLost},
		{"a job of another uid is lost", strangerLost},
		{"stop ends a job and what it started", stopEnds},
		{"stop kills what does not listen", stopKills},
		{"stop comes before start", stopFirst},
		{"stopping what has ended changes nothing", stopEnded},
		{"start and stop at once agree", startStopRace},
		{"a timeout ends the command", timesOut},
		{"outputs and summary come back", outputsBack},
		{"bad outputs fail the task", outputsBad},
		{"the event is a file", eventFile},
		{"environment values are data", envData},
		{"a secret arrives and is hidden", secretHidden},
		{"environment names that become code are refused", envRefused},
		{"a job that is not sound is refused", unsoundRefused},
	}
	for _, l := range laws {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.law(t, kit(t))
		})
	}
}

// start starts the job and returns its uid.
func start(t *testing.T, r runners.Runner, job runners.Job) string {
	t.Helper()
	uid, err := r.Start(within(t), job)
	if err != nil || uid == "" {
		t.Fatalf("start: got uid %q and error %v, want a uid", uid, err)
	}
	return uid
}

// wait waits for the job and returns its result and the whole log.
func wait(t *testing.T, r runners.Runner, id, uid string) (runners.Result, *Log) {
	t.Helper()
	var log Log
	res, err := r.Wait(within(t), id, uid, &log)
	if err != nil {
		t.Fatalf("wait: %v", err)
	}
	return res, &log
}

// do runs the job to its end.
func do(t *testing.T, k Kit, job runners.Job) (runners.Result, *Log) {
	t.Helper()
	r := k.New(t)
	return wait(t, r, job.ID, start(t, r, job))
}

// within is a context that ends before the patience of go test does.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// wantClass fails the test if the result is of another class.
func wantClass(t *testing.T, res runners.Result, want runners.Class) {
	t.Helper()
	if res.Class != want {
		t.Fatalf("class: got %q, want %q; the result is %+v", res.Class, want, res)
	}
}
