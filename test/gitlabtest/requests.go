package gitlabtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// request is an open merge request from one branch of a project to another.
type request struct {
	iid                   int64
	source, target, title string
}

type requestPayload struct {
	ObjectKind string         `json:"object_kind"`
	EventType  string         `json:"event_type"`
	User       map[string]any `json:"user"`
	Project    projectPayload `json:"project"`
	Attributes attributes     `json:"object_attributes"`
	Labels     []struct{}     `json:"labels"`
	Changes    struct{}       `json:"changes"`
}

type attributes struct {
	ID              int64          `json:"id"`
	IID             int64          `json:"iid"`
	Title           string         `json:"title"`
	Description     string         `json:"description"`
	AuthorID        int64          `json:"author_id"`
	SourceBranch    string         `json:"source_branch"`
	SourceProjectID int64          `json:"source_project_id"`
	TargetBranch    string         `json:"target_branch"`
	TargetProjectID int64          `json:"target_project_id"`
	State           string         `json:"state"`
	Action          string         `json:"action"`
	OldRev          string         `json:"oldrev,omitempty"`
	Draft           bool           `json:"draft"`
	CreatedAt       string         `json:"created_at"`
	UpdatedAt       string         `json:"updated_at"`
	LastEditedAt    *string        `json:"last_edited_at"`
	URL             string         `json:"url"`
	Source          projectPayload `json:"source"`
	Target          projectPayload `json:"target"`
	LastCommit      commitPayload  `json:"last_commit"`
}

// OpenRequest opens a merge request of two branches of one project, tells the hooks, and returns its number. What is
// pushed to the source branch from then on is told as an update.
func (s *Server) OpenRequest(project, source, target string) (int64, error) {
	p := s.project(project)
	if p == nil {
		return 0, fmt.Errorf("open merge request: no project %s", project)
	}
	head, err := p.Commit(s.Context(), "refs/heads/"+source)
	if err != nil {
		return 0, fmt.Errorf("open merge request: %w", err)
	}
	s.mu.Lock()
	r := &request{iid: int64(len(p.requests) + 1), source: source, target: target, title: title(head.Message)}
	p.requests = append(p.requests, r)
	s.mu.Unlock()
	s.send("Merge Request Hook", s.requestPayload(p, r, head, ""))
	return r.iid, nil
}

// updateRequests tells of the open requests that a push to a branch has changed.
func (s *Server) updateRequests(p *project, c forgekit.Change) {
	if c.Tag() || c.Before == forgekit.Zero || c.After == forgekit.Zero {
		return
	}
	s.mu.Lock()
	all := slices.Clone(p.requests)
	s.mu.Unlock()
	for _, r := range all {
		if r.source != c.Short() {
			continue
		}
		if head, err := p.Commit(s.Context(), c.After); err == nil {
			s.send("Merge Request Hook", s.requestPayload(p, r, head, c.Before))
		}
	}
}

// requestPayload is what a hook gets of r, whose head is head; before that it was oldrev, "" if it is new.
func (s *Server) requestPayload(p *project, r *request, head forgekit.Commit, oldrev string) requestPayload {
	project, action := s.projectPayload(p), "open"
	if oldrev != "" {
		action = "update"
	}
	now := time.Now().UTC().Format("2006-01-02 15:04:05 UTC")
	last := s.commitPayload(p, head)
	last.Added, last.Modified, last.Removed = nil, nil, nil
	return requestPayload{
		ObjectKind: "merge_request", EventType: "merge_request", Project: project, Labels: []struct{}{},
		User: map[string]any{"id": 1, "name": pusher, "username": pusher, "avatar_url": nil, "email": redacted},
		Attributes: attributes{
			ID: 100 + r.iid, IID: r.iid, Title: r.title, AuthorID: 1, SourceBranch: r.source, SourceProjectID: p.id,
			TargetBranch: r.target, TargetProjectID: p.id, State: "opened", Action: action, OldRev: oldrev, CreatedAt: now, UpdatedAt: now,
			URL: fmt.Sprintf("%s/-/merge_requests/%d", project.WebURL, r.iid), Source: project, Target: project, LastCommit: last,
		},
	}
}

// title is the first line of a message.
func title(message string) string {
	first, _, _ := strings.Cut(message, "\n")
	return first
}

// listPipelines lists the pipelines of a merge request, the newest first: its own, and those of its source branch.
func (s *Server) listPipelines(w http.ResponseWriter, r *http.Request, p *project) {
	iid, err := strconv.ParseInt(r.PathValue("iid"), 10, 64)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || iid < 1 || iid > int64(len(p.requests)) {
		refuse(w, http.StatusNotFound, "404 Not found")
		return
	}
	own, branch := requestRef(iid), p.requests[iid-1].source
	list := []map[string]any{}
	for _, l := range slices.Backward(p.pipelines) {
		if l.ref == own || l.ref == branch {
			list = append(list, map[string]any{"id": l.id, "iid": l.id, "project_id": p.id, "sha": l.sha, "ref": l.ref, "source": l.source})
		}
	}
	forgekit.Answer(w, http.StatusOK, list)
}

// requestRef is the ref of a merge request's own pipelines.
func requestRef(iid int64) string { return fmt.Sprintf("refs/merge-requests/%d/head", iid) }
