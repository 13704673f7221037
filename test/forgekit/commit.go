package forgekit

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// Commit is one commit and the paths that it touched, compared with its first parent.
type Commit struct {
	ID, Message              string
	Author, Committer        Person
	Time                     time.Time // of the committer
	Added, Removed, Modified []string  // never nil
}

// Person is somebody as a commit names them.
type Person struct{ Name, Email string }

// Commit reads one commit.
func (r *Repo) Commit(ctx context.Context, rev string) (Commit, error) {
	out, err := r.Git(ctx, "log", "-1", "--format=%H%x00%an%x00%ae%x00%cn%x00%ce%x00%cI%x00%B", rev)
	if err != nil {
		return Commit{}, err
	}
	f := strings.SplitN(out, "\x00", 7)
	at, err := time.Parse(time.RFC3339, f[5])
	if err != nil {
		return Commit{}, err
	}
	c := Commit{
		ID: f[0], Message: strings.TrimSuffix(f[6], "\n"), Author: Person{f[1], f[2]}, Committer: Person{f[3], f[4]}, Time: at,
		Added: []string{}, Removed: []string{}, Modified: []string{},
	}
	out, err = r.Git(ctx, "log", "-1", "--format=", "--name-status", "-m", "--first-parent", "--no-renames", "-z", rev)
	if err != nil {
		return Commit{}, err
	}
	parts := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for i := 0; i+1 < len(parts); i += 2 {
		switch path := parts[i+1]; parts[i] {
		case "A":
			c.Added = append(c.Added, path)
		case "D":
			c.Removed = append(c.Removed, path)
		default:
			c.Modified = append(c.Modified, path)
		}
	}
	return c, nil
}

// Pushed are the ids of the commits that a push to a branch brought, newest first; of a new branch its newest, at most
// maxNew.
func (r *Repo) Pushed(ctx context.Context, c Change, maxNew int) []string {
	args := []string{"rev-list", c.Before + ".." + c.After}
	if c.Before == Zero {
		args = []string{"rev-list", "--max-count=" + strconv.Itoa(maxNew), c.After}
	}
	out, err := r.Git(ctx, args...)
	if err != nil {
		return nil
	}
	return strings.Fields(out)
}
