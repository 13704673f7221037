package gitlabtest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// Status is a commit status, as the API writes it: a job that runs elsewhere.
type Status struct {
	ID          int64   `json:"id"`
	SHA         string  `json:"sha"`
	Ref         string  `json:"ref"`
	State       string  `json:"status"`
	Name        string  `json:"name"`
	TargetURL   *string `json:"target_url"`
	Description *string `json:"description"`
	PipelineID  int64   `json:"pipeline_id"`
	Retried     bool    `json:"-"` // a newer job of this name is in the pipeline

	CreatedAt time.Time `json:"created_at"`
}

// pipeline is what jobs are in. Those that a status made are 'external'.
type pipeline struct {
	id               int64
	sha, ref, source string
	jobs             []*Status // oldest first
}

// wanted is what a client asks for.
type wanted struct {
	State       string  `json:"state"`
	Ref         string  `json:"ref"`
	Name        string  `json:"name"`
	Context     string  `json:"context"`
	TargetURL   *string `json:"target_url"`
	Description *string `json:"description"`
	PipelineID  int64   `json:"pipeline_id"`
}

// maxBody bounds the bytes of a request.
const maxBody = 64 << 10

// Statuses lists the jobs that commit sha of a project was given by statuses, newest first, retried ones too.
func (s *Server) Statuses(project, sha string) []Status {
	p := s.project(project)
	if p == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Status
	for _, l := range p.pipelines {
		for _, job := range l.jobs {
			if job.SHA == sha {
				all = append(all, *job)
			}
		}
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(b.ID, a.ID) })
	return all
}

// AddPipeline makes a pipeline of GitLab's own CI for a commit, on a branch, or on a merge request's ref, and returns
// its id.
func (s *Server) AddPipeline(project, sha, ref string) int64 {
	p := s.project(project)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newPipeline(p, sha, ref, "push").id
}

// newPipeline makes one. s.mu is held.
func (s *Server) newPipeline(p *project, sha, ref, source string) *pipeline {
	s.lastID++
	l := &pipeline{id: s.lastID, sha: sha, ref: ref, source: source}
	p.pipelines = append(p.pipelines, l)
	return l
}

// api wraps what the API asks first: the token and the project.
func (s *Server) api(next func(http.ResponseWriter, *http.Request, *project)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p := s.project(r.PathValue("id"))
		switch {
		case !s.allowed(r):
			refuse(w, http.StatusUnauthorized, "401 Unauthorized")
		case p == nil:
			refuse(w, http.StatusNotFound, "404 Project Not Found")
		default:
			next(w, r, p)
		}
	}
}

func (s *Server) listStatuses(w http.ResponseWriter, r *http.Request, p *project) {
	latest := []Status{}
	for _, job := range s.Statuses(p.Path, r.PathValue("sha")) {
		if !job.Retried || r.URL.Query().Get("all") == "true" {
			latest = append(latest, job)
		}
	}
	forgekit.Answer(w, http.StatusOK, latest)
}

var fullSHA = regexp.MustCompile(`^[0-9a-f]{40}$`)

// createStatus is what faults are injected into.
func (s *Server) createStatus(w http.ResponseWriter, r *http.Request, p *project) {
	s.Suffer(w, r, func(status int) { refuse(w, status, "injected fault") }, func(w http.ResponseWriter, r *http.Request) {
		s.setStatus(w, r, p)
	})
}

// setStatus is app/services/ci/create_commit_status_service.rb of GitLab 17: it finds the pipeline, in that the job,
// and moves it.
func (s *Server) setStatus(w http.ResponseWriter, r *http.Request, p *project) {
	var want wanted
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&want); err != nil {
		forgekit.Answer(w, http.StatusBadRequest, map[string]string{"error": "The provided content-type 'application/json' is not supported or the body is malformed"})
		return
	}
	if moves[want.State] == nil {
		forgekit.Answer(w, http.StatusBadRequest, map[string]string{"error": "state does not have a valid value"})
		return
	}
	sha := r.PathValue("sha")
	if !fullSHA.MatchString(sha) || !p.HasCommit(s.Context(), sha) {
		refuse(w, http.StatusNotFound, "404 Commit Not Found")
		return
	}
	branch := s.branchOf(p, sha)
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ref, missing := s.place(p, sha, branch, want)
	if missing != "" {
		refuse(w, http.StatusNotFound, missing)
		return
	}
	if invalid := want.invalid(); invalid != nil {
		refuse(w, http.StatusBadRequest, invalid)
		return
	}
	job, err := s.move(l, ref, want)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	s.Ring()
	forgekit.Answer(w, http.StatusCreated, job)
}

// place finds or makes the pipeline that a status goes into, and its ref, which is branch if nothing else says it; or
// it says what is missing. s.mu is held.
func (s *Server) place(p *project, sha, branch string, want wanted) (l *pipeline, ref, missing string) {
	l, ref = p.matching(sha, want), want.Ref
	if ref == "" && l != nil {
		ref = l.ref
	}
	ref = cmp.Or(ref, branch)
	switch {
	case ref == "":
		return nil, "", "404 References for commit Not Found"
	case want.PipelineID != 0 && l == nil:
		return nil, "", "404 Pipeline for pipeline_id, sha and ref Not Found"
	case l == nil:
		l = s.newPipeline(p, sha, ref, "external")
	}
	return l, ref, ""
}

// branchOf is the first branch that sha is on, "" if none.
func (s *Server) branchOf(p *project, sha string) string {
	out, err := p.Git(s.Context(), "for-each-ref", "--format=%(refname:lstrip=2)", "--contains="+sha, "refs/heads")
	if err != nil {
		return ""
	}
	return title(out)
}

// matching is the newest pipeline that a status may go into, nil for none. The Server's mu is held.
func (p *project) matching(sha string, want wanted) *pipeline {
	for _, l := range slices.Backward(p.pipelines) {
		if l.sha == sha && (want.Ref == "" || l.ref == want.Ref) && (want.PipelineID == 0 || l.id == want.PipelineID) {
			return l
		}
	}
	return nil
}

// invalid is what the model CommitStatus does not take, by field; nil: nothing.
func (w wanted) invalid() map[string][]string {
	bad := map[string][]string{}
	for field, text := range map[string]*string{"description": w.Description, "target_url": w.TargetURL, "ref": &w.Ref} {
		if text != nil && utf8.RuneCountInString(*text) > 255 {
			bad[field] = append(bad[field], "is too long (maximum is 255 characters)")
		}
	}
	if u := w.TargetURL; u != nil && !strings.HasPrefix(*u, "http://") && !strings.HasPrefix(*u, "https://") {
		bad["target_url"] = append(bad["target_url"], "is blocked: Only allowed schemes are http, https")
	}
	if len(bad) == 0 {
		return nil
	}
	return bad
}

// refuse answers an error as GitLab does: a text, or texts by field.
func refuse(w http.ResponseWriter, status int, message any) {
	forgekit.Answer(w, status, map[string]any{"message": message})
}
