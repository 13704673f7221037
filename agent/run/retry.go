package run

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/millrace-ci/millrace/runners"
)

// An attempt that never got its container is followed by another without counting, so often and after these waits; so
// does one that its author allows to be retried and says nothing of the wait.
const (
	freeRetries  = 3
	freeBackoff  = 5 * time.Second // doubled each time, as is the author's
	firstBackoff = 10 * time.Second
	maxBackoff   = 10 * time.Minute
)

// retry tells whether another attempt follows one that did not succeed, after which wait, and whether it is free: the
// weather kept its container from starting. After a container ran only the author's word counts.
func (r *Run) retry(t *Task, res runners.Result) (wait time.Duration, free bool) {
	if r.Ending != nil {
		return 0, false
	}
	used := 0
	for _, p := range t.Past {
		if p.Free {
			used++
		}
	}
	if res.Class == runners.Infrastructure && res.StartedAt.IsZero() && used < freeRetries {
		return backoff(freeBackoff, used), true
	}
	own, policy := len(t.Past)-used, r.plan(t).Retry
	if own >= policy.Max || !slices.Contains(policy.Classes(), string(res.Class)) {
		return 0, false
	}
	first := policy.Backoff
	if first == 0 {
		first = firstBackoff
	}
	return backoff(first, own), false
}

// backoff is first doubled n times, up to a bound that a longer first wait is its own.
func backoff(first time.Duration, n int) time.Duration {
	return max(first, min(first<<min(n, 20), maxBackoff))
}

// repeat makes the attempt that ended a past one, and the next one wait.
func (t *Task) repeat(f Ended, wait time.Duration, free bool) error {
	if err := t.move(again); err != nil {
		return err
	}
	past := Past{
		Attempt: t.Attempt, Free: free, UID: t.UID, StartedAt: t.StartedAt, EndedAt: t.ended(f),
		Class: f.Result.Class, ExitCode: f.Result.ExitCode, Reason: f.Result.Reason,
	}
	*t = Task{
		Name: t.Name, Stage: t.Stage, Place: t.Place, State: t.State,
		Attempt: t.Attempt + 1, QueuedAt: f.At, DueAt: f.At.Add(wait), Past: append(slices.Clip(t.Past), past),
		Reason: fmt.Sprintf("backoff of %s after attempt %d: %s", brief(wait), past.Attempt, cause(past)),
	}
	return nil
}

// cause says in words how an attempt ended.
func cause(p Past) string {
	if p.Reason != "" {
		return p.Reason
	}
	return string(p.Class)
}

// ended is when the attempt that f is about ended: earlier than f where nobody watched its job then.
func (t *Task) ended(f Ended) time.Time {
	if at := f.Result.EndedAt.UTC().Truncate(time.Millisecond); at.After(t.StartedAt) && at.Before(f.At) {
		return at
	}
	return f.At
}

// past tells whether f was told before: the attempt ended so, and another followed.
func (r *Run) past(f Ended) bool {
	t, _, _ := r.Task(f.Task)
	return slices.ContainsFunc(t.Past, func(p Past) bool {
		return p.Attempt == f.Attempt && p.Class == f.Result.Class && p.ExitCode == f.Result.ExitCode
	})
}

// due lets the attempt start.
func (r *Run) due(f Due) error {
	t, err := r.attempt(f.Task, f.Attempt)
	switch {
	case err != nil:
		return err
	case t.State == Queued:
		return nil // told twice
	case t.State != Waiting:
		return fmt.Errorf("%s/%d due: it is %s: %w", t.Name, t.Attempt, t.State, ErrStale)
	case f.At.Before(t.DueAt):
		return fmt.Errorf("%s/%d due: it waits until %s: %w", t.Name, t.Attempt, t.DueAt.Format(time.RFC3339), ErrImpossible)
	}
	t.DueAt = time.Time{}
	return t.move(due)
}

// maxWritten bounds what a task's outputs have in names and values together as the task sent them, in bytes.
const maxWritten = 256 << 10

// Seals tells whether outputs that a task sends while it runs are kept sealed until it ends. A Millrace of before lanes
// knows of no seal, and may lead the run if that has no lane.
func (r Run) Seals() bool { return r.Plan.Lane != nil }

// A sealed output is Sealed, and base64 without padding of the value with so many bytes more.
const (
	Sealed      = "sealed:1 "
	SealedBytes = 28
)

// sent is how many bytes the value of an output has as its task sent it.
func (r *Run) sent(value string) int {
	if !r.Seals() {
		return len(value)
	}
	return max(0, base64.RawStdEncoding.DecodedLen(len(value)-len(Sealed))-SealedBytes)
}

// write adds outputs of a task that is running.
func (r *Run) write(f Wrote) error {
	t, err := r.attempt(f.Task, f.Attempt)
	switch {
	case err != nil:
		return err
	case t.State.Final():
		return fmt.Errorf("outputs of %s/%d: it is %s: %w", t.Name, t.Attempt, t.State, ErrStale)
	case t.State != Running:
		return fmt.Errorf("outputs of %s/%d: it is %s: %w", t.Name, t.Attempt, t.State, ErrImpossible)
	}
	all, size := merged(t.Outputs, f.Outputs), 0
	for name, value := range all {
		size += len(name) + r.sent(value)
	}
	if size > maxWritten {
		return fmt.Errorf("outputs of %s/%d take %d bytes, at most %d are kept: %w", t.Name, t.Attempt, size, maxWritten, ErrImpossible)
	}
	t.Outputs = all
	return nil
}

// merged is a map of its own with both, later over earlier.
func merged(earlier, later map[string]string) map[string]string {
	if len(earlier) == 0 {
		return later
	}
	all := maps.Clone(earlier)
	maps.Copy(all, later)
	return all
}
