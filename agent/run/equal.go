package run

import (
	"maps"
	"slices"
)

// Same tells whether nothing differs between two states of one run. Versions do not count.
func (r Run) Same(o Run) bool {
	if len(r.Tasks) != len(o.Tasks) || !r.SameHead(o) {
		return false
	}
	for i := range r.Tasks {
		if !r.Tasks[i].Same(&o.Tasks[i]) {
			return false
		}
	}
	return true
}

// SameHead is Same without the tasks.
func (r Run) SameHead(o Run) bool {
	return r.State == o.State && r.Reason == o.Reason && r.AdmittedAt.Equal(o.AdmittedAt) && r.StartedAt.Equal(o.StartedAt) && r.EndedAt.Equal(o.EndedAt) &&
		samePointee(r.Ending, o.Ending) && slices.Equal(r.Told, o.Told) && r.ToldBefore == o.ToldBefore
}

// Same tells whether nothing differs between two states of one task.
func (t *Task) Same(o *Task) bool {
	return t.Name == o.Name && t.State == o.State && t.Reason == o.Reason && t.Attempt == o.Attempt &&
		t.Worker == o.Worker && t.UID == o.UID && t.Ignored == o.Ignored &&
		t.QueuedAt.Equal(o.QueuedAt) && t.StartedAt.Equal(o.StartedAt) && t.EndedAt.Equal(o.EndedAt) &&
		t.Class == o.Class && samePointee(t.ExitCode, o.ExitCode) && maps.Equal(t.Outputs, o.Outputs) && t.Summary == o.Summary &&
		t.DueAt.Equal(o.DueAt) && slices.EqualFunc(t.Past, o.Past, Past.same)
}

// same is enough of a comparison: an attempt that ended never changes.
func (p Past) same(o Past) bool {
	return p.Attempt == o.Attempt && p.Class == o.Class && p.EndedAt.Equal(o.EndedAt)
}

func samePointee[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// Task finds a task and its plan by name.
func (r Run) Task(name string) (Task, *TaskPlan, bool) {
	i := r.index(name)
	if i < 0 {
		return Task{}, nil, false
	}
	return r.Tasks[i], r.plan(&r.Tasks[i]), true
}

// index is where the task of that name stands, -1 if there is none.
func (r *Run) index(name string) int {
	for i := range r.Tasks {
		if r.Tasks[i].Name == name {
			return i
		}
	}
	return -1
}

func (r *Run) plan(t *Task) *TaskPlan { return &r.Plan.Stages[t.Stage].Tasks[t.Place] }
