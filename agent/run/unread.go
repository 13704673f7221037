package run

import "time"

// Unreadable is the state of what stands for a run that is kept, and that this Millrace cannot read: a newer one wrote it,
// or it is damaged. Only lists and lanes have it: no run is ever saved in it, and nothing is told to it.
const Unreadable State = "unreadable"

// Unread stands for a run that cannot be read. In its lane it holds its place: nobody can tell whether it runs.
func Unread(id string, created time.Time, why string) Run {
	return Run{Plan: &Snapshot{ID: id, CreatedAt: created}, State: Unreadable, Reason: "this run cannot be read: " + why}
}
