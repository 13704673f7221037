// Package gitlabtest is a GitLab small enough for tests, in this process: bare repositories that the git binary serves
// over HTTP, the webhook deliveries that pushes and merge requests cause, and the commit statuses API with its state
// machine, each as GitLab 17 does it. Tests call it; it calls git, and the hooks that it was given. It knows nothing of
// Millrace, keeps everything but the repositories in memory, and has no pages, users or CI of its own.
package gitlabtest

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// Config says where a Server keeps its repositories and who may use it. The API takes the token as PRIVATE-TOKEN or
// Bearer.
type Config = forgekit.Config

// Server is a running GitLab. It is safe for concurrent use.
type Server struct {
	*forgekit.Server

	mu       sync.Mutex
	projects map[string]*project // by path
	hooks    []Hook
	lastID   int64           // of pipelines and jobs
	resent   forgekit.Window // what was sent again
}

// project is one project. What changes is guarded by the Server's mu.
type project struct {
	forgekit.Repo
	id        int64
	pipelines []*pipeline // oldest first
	requests  []*request  // by number, from 1
}

// Start starts a Server on a free port of the loopback.
func Start(cfg Config) (*Server, error) {
	base, err := forgekit.Listen("gitlab", deliveryTimeout, cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{Server: base, projects: map[string]*project{}}
	s.Serve(s.routes())
	return s, nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v4/projects/{id}/statuses/{sha}", s.api(s.createStatus))
	mux.HandleFunc("GET /api/v4/projects/{id}/repository/commits/{sha}/statuses", s.api(s.listStatuses))
	mux.HandleFunc("GET /api/v4/projects/{id}/merge_requests/{iid}/pipelines", s.api(s.listPipelines))
	mux.HandleFunc("GET /api/v4/projects/{id}/hooks", s.api(s.listHooks))
	mux.HandleFunc("GET /api/v4/projects/{id}/hooks/{hook}/events", s.api(s.listEvents))
	mux.HandleFunc("POST /api/v4/projects/{id}/hooks/{hook}/events/{event}/resend", s.api(s.resend))
	mux.HandleFunc("/{path...}", s.serveGit)
	return mux
}

// plain is what a project's path may be: groups, nested as deep as one likes, and a name.
var plain = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$`)

// CreateProject makes an empty project, whose default branch is main, and returns its id.
func (s *Server) CreateProject(path string) (int64, error) {
	if !plain.MatchString(path) {
		return 0, fmt.Errorf("create project %q: impossible path", path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.projects[path] != nil {
		return 0, fmt.Errorf("create project %s: it exists", path)
	}
	p := &project{id: int64(len(s.projects) + 1)}
	if err := s.Init(&p.Repo, path, pusher); err != nil {
		return 0, fmt.Errorf("create project %s: %w", path, err)
	}
	s.projects[path] = p
	return p.id, nil
}

// CloneURL is where git clones a project from and pushes to, with the token in it, if there is one.
func (s *Server) CloneURL(path string) string { return s.Clone("oauth2", path) }

// serveGit serves one request of git, and tells the hooks what a push changed.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	path, _, isGit := strings.Cut(r.PathValue("path"), ".git/")
	p := s.project(path)
	if p == nil || !isGit {
		s.Git(w, r, nil, nil)
		return
	}
	s.Git(w, r, &p.Repo, func(changed []forgekit.Change) { s.tell(p, changed) })
}

// project finds one by its path or its id; nil: there is none.
func (s *Server) project(name string) *project {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path, p := range s.projects {
		if name == path || name == strconv.FormatInt(p.id, 10) {
			return p
		}
	}
	return nil
}

// allowed tells whether a request of the API bears the token.
func (s *Server) allowed(r *http.Request) bool {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return s.Knows(bearer)
	}
	return s.Knows(r.Header.Get("PRIVATE-TOKEN"))
}
