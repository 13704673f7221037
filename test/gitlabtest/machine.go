package gitlabtest

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// move finds the job that waits or runs, or makes one, and moves it. s.mu is held.
func (s *Server) move(l *pipeline, ref string, want wanted) (Status, error) {
	name := cmp.Or(want.Name, want.Context, "default")
	i := slices.IndexFunc(l.jobs, func(job *Status) bool {
		return job.Name == name && job.Ref == ref && (job.State == "pending" || job.State == "running")
	})
	job := &Status{SHA: l.sha, Ref: ref, Name: name, State: "created", PipelineID: l.id, CreatedAt: time.Now().UTC()}
	if i >= 0 {
		job = l.jobs[i]
	}
	state, err := transit(job.State, want.State)
	if err != nil {
		return Status{}, err // And nothing else of the job is changed either.
	}
	if i < 0 {
		for _, older := range l.jobs {
			older.Retried = older.Retried || older.Name == name
		}
		s.lastID++
		job.ID = s.lastID
		l.jobs = append(l.jobs, job)
	}
	job.State = state
	job.TargetURL, job.Description = cmp.Or(want.TargetURL, job.TargetURL), cmp.Or(want.Description, job.Description)
	return *job, nil
}

// event is what moves a job, by its name in the state machine: from where, and to what.
type event struct {
	name string
	from []string
	to   string
}

// moves are the events that a state that is asked for stands for, by CreateCommitStatusService#apply_job_state! and the
// state machine of app/models/commit_status.rb. All but the last may be refused and are then passed over.
var moves = map[string][]event{
	"pending":  {enqueue},
	"running":  {enqueue, {"run", []string{"pending"}, "running"}},
	"success":  {{"success", []string{"created", "pending", "running"}, "success"}},
	"failed":   {{"drop", []string{"created", "pending", "running"}, "failed"}},
	"canceled": {{"cancel", []string{"created", "pending", "running"}, "canceled"}},
	"skipped":  {{"skip", []string{"created", "pending"}, "skipped"}},
}

var enqueue = event{"enqueue", []string{"created"}, "pending"}

// transit is the state after a job in state from was asked to be in state want.
func transit(from, want string) (string, error) {
	events := moves[want]
	for i, e := range events {
		if slices.Contains(e.from, from) {
			from = e.to
		} else if i == len(events)-1 {
			return "", fmt.Errorf("Cannot transition status via :%s from :%s (Reason(s): Status cannot transition via %q)", e.name, from, e.name) //nolint:staticcheck // GitLab's own words.
		}
	}
	return from, nil
}
