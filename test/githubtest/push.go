package githubtest

import (
	"slices"
	"time"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// pusher is who pushes, always.
const pusher = "github-tester"

// maxListed is how many commits a push lists.
const maxListed = 2048

// The payload as GitHub writes it: 'Webhook events and payloads', push.

type pushPayload struct {
	Ref        string            `json:"ref"`
	Before     string            `json:"before"`
	After      string            `json:"after"`
	Repository repository        `json:"repository"`
	Pusher     map[string]string `json:"pusher"`
	Sender     user              `json:"sender"`
	Created    bool              `json:"created"`
	Deleted    bool              `json:"deleted"`
	Forced     bool              `json:"forced"`
	BaseRef    *string           `json:"base_ref"`
	Compare    string            `json:"compare"`
	Commits    []commit          `json:"commits"`
	HeadCommit *commit           `json:"head_commit"`
}

type commit struct {
	ID        string   `json:"id"`
	TreeID    string   `json:"tree_id"`
	Distinct  bool     `json:"distinct"`
	Message   string   `json:"message"`
	Timestamp string   `json:"timestamp"`
	URL       string   `json:"url"`
	Author    person   `json:"author"`
	Committer person   `json:"committer"`
	Added     []string `json:"added"`
	Removed   []string `json:"removed"`
	Modified  []string `json:"modified"`
}

type person struct {
	Name     string `json:"name"`
	Email    string `json:"email"`
	Username string `json:"username,omitempty"`
}

type user struct {
	Login   string `json:"login"`
	ID      int64  `json:"id"`
	NodeID  string `json:"node_id"`
	Type    string `json:"type"`
	HTMLURL string `json:"html_url"`
	URL     string `json:"url"`
}

type repository struct {
	ID            int64   `json:"id"`
	NodeID        string  `json:"node_id"`
	Name          string  `json:"name"`
	FullName      string  `json:"full_name"`
	Private       bool    `json:"private"`
	Owner         user    `json:"owner"`
	HTMLURL       string  `json:"html_url"`
	Description   *string `json:"description"`
	Fork          bool    `json:"fork"`
	URL           string  `json:"url"`
	CreatedAt     int64   `json:"created_at"`
	UpdatedAt     string  `json:"updated_at"`
	PushedAt      int64   `json:"pushed_at"`
	GitURL        string  `json:"git_url"`
	SSHURL        string  `json:"ssh_url"`
	CloneURL      string  `json:"clone_url"`
	DefaultBranch string  `json:"default_branch"`
	MasterBranch  string  `json:"master_branch"`
}

func (s *Server) user(login string) user {
	return user{Login: login, ID: 1, NodeID: "U_1", Type: "User", HTMLURL: s.URL + "/" + login, URL: s.API() + "/users/" + login}
}

func (s *Server) repository(r *repo) repository {
	page := s.URL + "/" + r.Path
	return repository{
		ID: r.id, NodeID: "R_1", Name: r.name, FullName: r.Path, Owner: s.user(r.owner), HTMLURL: page, URL: page, Private: !s.Knows(""),
		CreatedAt: r.created.Unix(), UpdatedAt: r.created.UTC().Format(time.RFC3339), PushedAt: time.Now().Unix(),
		GitURL: page + ".git", CloneURL: page + ".git", SSHURL: r.SSH(s.SSH), DefaultBranch: "main", MasterBranch: "main",
	}
}

// pushed is what a hook gets of a change: what is new, and a tag, lists no commits.
func (s *Server) pushed(r *repo, c forgekit.Change) pushPayload {
	p := pushPayload{
		Ref: c.Ref, Before: c.Before, After: c.After, Repository: s.repository(r), Sender: s.user(pusher),
		Pusher:  map[string]string{"name": pusher, "email": pusher + "@users.noreply.github.com"},
		Created: c.Before == forgekit.Zero, Deleted: c.After == forgekit.Zero,
		Compare: s.URL + "/" + r.Path + "/compare/" + c.Before[:12] + "..." + c.After[:12], Commits: []commit{},
	}
	if p.Deleted {
		return p
	}
	if head, err := s.commit(r, c.After+"^{commit}"); err == nil {
		p.HeadCommit = &head
	}
	if p.Created || c.Tag() {
		return p
	}
	_, err := r.Git(s.Context(), "merge-base", "--is-ancestor", c.Before, c.After)
	p.Forced = err != nil
	ids := r.Pushed(s.Context(), c, maxListed)
	for _, id := range slices.Backward(ids[:min(len(ids), maxListed)]) { // the oldest first
		if listed, err := s.commit(r, id); err == nil {
			p.Commits = append(p.Commits, listed)
		}
	}
	return p
}

func (s *Server) commit(r *repo, rev string) (commit, error) {
	c, err := r.Commit(s.Context(), rev)
	if err != nil {
		return commit{}, err
	}
	return commit{
		ID: c.ID, TreeID: forgekit.Zero, Distinct: true, Message: c.Message, Timestamp: c.Time.Format(time.RFC3339),
		URL: s.URL + "/" + r.Path + "/commit/" + c.ID, Author: person{Name: c.Author.Name, Email: c.Author.Email},
		Committer: person{Name: c.Committer.Name, Email: c.Committer.Email}, Added: c.Added, Removed: c.Removed, Modified: c.Modified,
	}, nil
}
