package giteatest

import "github.com/millrace-ci/millrace/test/forgekit"

// pusher is who pushes, always.
const pusher = "gitea-tester"

// maxListed is how many commits a push lists, by Gitea's default of [ui] FEED_MAX_COMMIT_NUM; maxNew is how many it
// looks at on a new branch.
const maxListed, maxNew = 5, 10

func refType(c forgekit.Change) string {
	if c.Tag() {
		return "tag"
	}
	return "branch"
}

// message is an event and its body, as a hook gets them.
type message struct {
	event string
	body  []byte
}

// messages are what Gitea sends about one change: a deleted branch is only a delete, a deleted tag a push too; what is
// new is a create and a push.
func (s *Server) messages(r *repo, c forgekit.Change) []message {
	created := func() message {
		return message{"create", forgekit.Encode(createPayload{c.After, c.Short(), refType(c), s.repository(r), s.user(pusher)})}
	}
	deleted := func() message {
		return message{"delete", forgekit.Encode(deletePayload{c.Short(), refType(c), "user", s.repository(r), s.user(pusher)})}
	}
	pushed := func() message { return message{"push", forgekit.Encode(s.pushed(r, c))} }
	switch {
	case c.After == forgekit.Zero && c.Tag():
		return []message{pushed(), deleted()}
	case c.After == forgekit.Zero:
		return []message{deleted()}
	case c.Before == forgekit.Zero && c.Tag():
		return []message{pushed(), created()}
	case c.Before == forgekit.Zero:
		return []message{created(), pushed()}
	}
	return []message{pushed()}
}

func (s *Server) pushed(r *repo, c forgekit.Change) pushPayload {
	p := pushPayload{
		Ref: c.Ref, Before: c.Before, After: c.After,
		CompareURL: s.URL + "/" + r.Path + "/compare/" + c.Before + "..." + c.After,
		Commits:    []commit{}, Repo: s.repository(r), Pusher: s.user(pusher), Sender: s.user(pusher),
	}
	if c.After == forgekit.Zero {
		return p
	}
	if head, err := s.commit(r, c.After+"^{commit}"); err == nil {
		p.HeadCommit = &head
	}
	if c.Tag() {
		return p
	}
	ids := r.Pushed(s.Context(), c, maxNew)
	p.TotalCommits = len(ids)
	for _, id := range ids[:min(len(ids), maxListed)] {
		if listed, err := s.commit(r, id); err == nil {
			p.Commits = append(p.Commits, listed)
		}
	}
	return p
}

// commit is one commit and the paths that it touched.
func (s *Server) commit(r *repo, rev string) (commit, error) {
	c, err := r.Commit(s.Context(), rev)
	if err != nil {
		return commit{}, err
	}
	return commit{
		ID: c.ID, Message: c.Message, URL: s.URL + "/" + r.Path + "/commit/" + c.ID, Timestamp: c.Time,
		Author: person{Name: c.Author.Name, Email: c.Author.Email}, Committer: person{Name: c.Committer.Name, Email: c.Committer.Email},
		Added: c.Added, Removed: c.Removed, Modified: c.Modified,
	}, nil
}
