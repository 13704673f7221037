package giteatest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pusher is who pushes, always.
const pusher = "gitea-tester"

// maxListed is how many commits a push lists, by Gitea's default of [ui] FEED_MAX_COMMIT_NUM; maxNew is how many it
// looks at on a new branch.
const maxListed, maxNew = 5, 10

const zero = "0000000000000000000000000000000000000000"

// change is a ref that a push moved; zero stands for none.
type change struct{ ref, before, after string }

func (c change) tag() bool { return strings.HasPrefix(c.ref, "refs/tags/") }

func (c change) refType() string {
	if c.tag() {
		return "tag"
	}
	return "branch"
}

func (c change) short() string {
	return strings.TrimPrefix(strings.TrimPrefix(c.ref, "refs/heads/"), "refs/tags/")
}

// changes are the refs that differ, in the order of their names.
func changes(before, after map[string]string) []change {
	var all []change
	for ref, id := range after {
		if old, ok := before[ref]; !ok {
			all = append(all, change{ref, zero, id})
		} else if old != id {
			all = append(all, change{ref, old, id})
		}
	}
	for ref, id := range before {
		if _, ok := after[ref]; !ok {
			all = append(all, change{ref, id, zero})
		}
	}
	slices.SortFunc(all, func(a, b change) int { return strings.Compare(a.ref, b.ref) })
	return all
}

// message is an event and its body, as a hook gets them.
type message struct {
	event string
	body  []byte
}

// messages are what Gitea sends about one change: a deleted branch is only a delete, a deleted tag a push too; what is
// new is a create and a push.
func (s *Server) messages(r *repo, c change) []message {
	created := func() message {
		return message{"create", encode(createPayload{c.after, c.short(), c.refType(), s.repository(r), s.user(pusher)})}
	}
	deleted := func() message {
		return message{"delete", encode(deletePayload{c.short(), c.refType(), "user", s.repository(r), s.user(pusher)})}
	}
	pushed := func() message { return message{"push", encode(s.pushed(r, c))} }
	switch {
	case c.after == zero && c.tag():
		return []message{pushed(), deleted()}
	case c.after == zero:
		return []message{deleted()}
	case c.before == zero && c.tag():
		return []message{pushed(), created()}
	case c.before == zero:
		return []message{created(), pushed()}
	}
	return []message{pushed()}
}

func (s *Server) pushed(r *repo, c change) pushPayload {
	p := pushPayload{
		Ref: c.ref, Before: c.before, After: c.after,
		CompareURL: s.URL + "/" + r.path() + "/compare/" + c.before + "..." + c.after,
		Commits:    []commit{}, Repo: s.repository(r), Pusher: s.user(pusher), Sender: s.user(pusher),
	}
	if c.after == zero {
		return p
	}
	if head, err := s.commit(r, c.after+"^{commit}"); err == nil {
		p.HeadCommit = &head
	}
	if c.tag() {
		return p
	}
	ids := s.pushedCommits(r, c)
	p.TotalCommits = len(ids)
	for _, id := range ids[:min(len(ids), maxListed)] {
		if listed, err := s.commit(r, id); err == nil {
			p.Commits = append(p.Commits, listed)
		}
	}
	return p
}

// pushedCommits are the ids of the commits that a push to a branch brought, newest first.
func (s *Server) pushedCommits(r *repo, c change) []string {
	args := []string{"rev-list", c.before + ".." + c.after}
	if c.before == zero {
		args = []string{"rev-list", "--max-count=" + strconv.Itoa(maxNew), c.after}
	}
	out, err := git(s.ctx, r.dir, args...)
	if err != nil {
		return nil
	}
	return strings.Fields(out)
}

// commit reads one commit and the paths that it touched.
func (s *Server) commit(r *repo, rev string) (commit, error) {
	out, err := git(s.ctx, r.dir, "log", "-1", "--format=%H%x00%an%x00%ae%x00%cn%x00%ce%x00%cI%x00%B", rev)
	if err != nil {
		return commit{}, err
	}
	f := strings.SplitN(out, "\x00", 7)
	at, err := time.Parse(time.RFC3339, f[5])
	if err != nil {
		return commit{}, err
	}
	c := commit{
		ID: f[0], Message: strings.TrimSuffix(f[6], "\n"), URL: s.URL + "/" + r.path() + "/commit/" + f[0],
		Author: person{Name: f[1], Email: f[2]}, Committer: person{Name: f[3], Email: f[4]}, Timestamp: at,
		Added: []string{}, Removed: []string{}, Modified: []string{},
	}
	out, err = git(s.ctx, r.dir, "log", "-1", "--format=", "--name-status", "-m", "--first-parent", "--no-renames", "-z", rev)
	if err != nil {
		return commit{}, err
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

// encode writes JSON as Gitea does, indented.
func encode(payload any) []byte {
	body, err := json.MarshalIndent(payload, "", "  ")
	if err != nil {
		panic("giteatest: encode payload: " + err.Error()) // Our own structs of strings, numbers and times.
	}
	return body
}
