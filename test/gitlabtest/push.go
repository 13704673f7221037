package gitlabtest

import (
	"path"
	"slices"
	"time"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// pusher is who pushes, always.
const pusher = "gitlab-tester"

// maxListed is how many commits a push lists; maxNew is how many are looked at on a new branch.
const maxListed, maxNew = 20, 100

// redacted stands for an address that its owner does not show.
const redacted = "[REDACTED]"

// The payloads as GitLab writes them: lib/gitlab/data_builder/push.rb and app/models/project.rb (hook_attrs) there.

type pushPayload struct {
	ObjectKind   string            `json:"object_kind"`
	EventName    string            `json:"event_name"`
	Before       string            `json:"before"`
	After        string            `json:"after"`
	Ref          string            `json:"ref"`
	RefProtected bool              `json:"ref_protected"`
	CheckoutSHA  *string           `json:"checkout_sha"`
	Message      *string           `json:"message"`
	UserID       int64             `json:"user_id"`
	UserName     string            `json:"user_name"`
	UserUsername string            `json:"user_username"`
	UserEmail    string            `json:"user_email"`
	UserAvatar   string            `json:"user_avatar"`
	ProjectID    int64             `json:"project_id"`
	Project      projectPayload    `json:"project"`
	Commits      []commitPayload   `json:"commits"`
	Total        int               `json:"total_commits_count"`
	PushOptions  struct{}          `json:"push_options"`
	Repository   map[string]string `json:"repository"`
}

type commitPayload struct {
	ID        string   `json:"id"`
	Message   string   `json:"message"`
	Title     string   `json:"title"`
	Timestamp string   `json:"timestamp"`
	URL       string   `json:"url"`
	Author    author   `json:"author"`
	Added     []string `json:"added,omitempty"`
	Modified  []string `json:"modified,omitempty"`
	Removed   []string `json:"removed,omitempty"`
}

type author struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

type projectPayload struct {
	ID              int64   `json:"id"`
	Name            string  `json:"name"`
	Description     string  `json:"description"`
	WebURL          string  `json:"web_url"`
	AvatarURL       *string `json:"avatar_url"`
	GitSSHURL       string  `json:"git_ssh_url"`
	GitHTTPURL      string  `json:"git_http_url"`
	Namespace       string  `json:"namespace"`
	VisibilityLevel int     `json:"visibility_level"`
	Path            string  `json:"path_with_namespace"`
	DefaultBranch   string  `json:"default_branch"`
	CIConfigPath    *string `json:"ci_config_path"`
	Homepage        string  `json:"homepage"`
	URL             string  `json:"url"`
	SSHURL          string  `json:"ssh_url"`
	HTTPURL         string  `json:"http_url"`
}

func (s *Server) projectPayload(p *project) projectPayload {
	web, ssh := s.URL+"/"+p.Path, p.SSH(s.SSH)
	return projectPayload{
		ID: p.id, Name: path.Base(p.Path), WebURL: web, Namespace: path.Dir(p.Path), Path: p.Path, DefaultBranch: "main", Homepage: web,
		GitSSHURL: ssh, SSHURL: ssh, URL: ssh, GitHTTPURL: web + ".git", HTTPURL: web + ".git",
	}
}

// pushed is what a hook gets of a change. A tag's push lists the commit that the tag is of.
func (s *Server) pushed(p *project, c forgekit.Change) pushPayload {
	project := s.projectPayload(p)
	payload := pushPayload{
		ObjectKind: "push", Before: c.Before, After: c.After, Ref: c.Ref, RefProtected: c.Short() == project.DefaultBranch,
		UserID: 1, UserName: pusher, UserUsername: pusher, ProjectID: p.id, Project: project, Commits: []commitPayload{},
		Repository: map[string]string{"name": project.Name, "url": project.URL, "homepage": project.Homepage, "git_http_url": project.HTTPURL},
	}
	if c.Tag() {
		payload.ObjectKind = "tag_push"
	}
	payload.EventName = payload.ObjectKind
	if c.After == forgekit.Zero {
		return payload
	}
	head, err := p.Commit(s.Context(), c.After+"^{commit}")
	if err != nil {
		return payload // A tag of what is no commit.
	}
	payload.CheckoutSHA = &head.ID
	ids := []string{head.ID}
	if !c.Tag() {
		ids = p.Pushed(s.Context(), c, maxNew)
	}
	payload.Total = len(ids)
	for _, id := range slices.Backward(ids[:min(len(ids), maxListed)]) { // the oldest first
		if listed, err := p.Commit(s.Context(), id); err == nil {
			payload.Commits = append(payload.Commits, s.commitPayload(p, listed))
		}
	}
	return payload
}

func (s *Server) commitPayload(p *project, c forgekit.Commit) commitPayload {
	return commitPayload{
		ID: c.ID, Message: c.Message, Title: title(c.Message), Timestamp: c.Time.Format(time.RFC3339), URL: s.URL + "/" + p.Path + "/-/commit/" + c.ID,
		Author: author{c.Author.Name, redacted}, Added: c.Added, Modified: c.Modified, Removed: c.Removed,
	}
}
