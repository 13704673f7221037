// Package giteatest is a Gitea small enough for tests and the demo, in this process: bare repositories that the git
// binary serves over HTTP, the webhook deliveries that a push causes, and the commit statuses API, each as Gitea 1.22
// does it. Tests and test/demo call it; it calls git, and the hooks that it was given. It knows nothing of Millrace,
// keeps everything but the repositories in memory, and has no pages, users or requests.
package giteatest

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// Config says where a Server keeps its repositories and who may use it. The API takes the token as 'token T' too.
type Config = forgekit.Config

// Server is a running Gitea. It is safe for concurrent use.
type Server struct {
	*forgekit.Server

	mu       sync.Mutex
	repos    map[string]*repo
	hooks    []hook
	statuses map[string][]Status // by owner/name@sha, oldest first
	lastID   int64
}

type repo struct {
	forgekit.Repo
	id          int64
	owner, name string
	created     time.Time
}

// Start starts a Server on a free port of the loopback.
func Start(cfg Config) (*Server, error) {
	base, err := forgekit.Listen("gitea", deliveryTimeout, cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{Server: base, repos: map[string]*repo{}, statuses: map[string][]Status{}}
	s.Serve(s.routes())
	return s, nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/repos/{owner}/{name}/statuses/{sha}", s.api(s.createStatus))
	mux.HandleFunc("GET /api/v1/repos/{owner}/{name}/statuses/{sha}", s.api(s.listStatuses))
	mux.HandleFunc("GET /api/v1/repos/{owner}/{name}/commits/{sha}/status", s.api(s.combinedStatus))
	mux.HandleFunc("/{owner}/{name}/{rest...}", s.serveGit)
	return mux
}

// plain is what an owner and a repository may be called.
var plain = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)

// CreateRepo makes an empty repository, whose default branch is main.
func (s *Server) CreateRepo(owner, name string) error {
	if !plain.MatchString(owner) || !plain.MatchString(name) {
		return fmt.Errorf("create repository %q/%q: impossible name", owner, name)
	}
	r := &repo{owner: owner, name: name, created: time.Now()}
	path := owner + "/" + name
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repos[path] != nil {
		return fmt.Errorf("create repository %s: it exists", path)
	}
	if err := s.Init(&r.Repo, path, pusher); err != nil {
		return fmt.Errorf("create repository %s: %w", path, err)
	}
	r.id = int64(len(s.repos) + 1)
	s.repos[path] = r
	return nil
}

// Dir is where the bare repository owner/name is.
func (s *Server) Dir(owner, name string) string {
	return filepath.Join(s.Server.Dir, owner, name+".git")
}

// serveGit serves one request of git, and tells the hooks what a push changed.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	repo := s.repo(r.PathValue("owner"), r.PathValue("name"))
	if repo == nil || !strings.HasSuffix(r.PathValue("name"), ".git") {
		s.Git(w, r, nil, nil)
		return
	}
	s.Git(w, r, &repo.Repo, func(c []forgekit.Change) { s.tell(repo, c) })
}

func (s *Server) repo(owner, name string) *repo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repos[owner+"/"+strings.TrimSuffix(name, ".git")]
}

// allowed tells whether a request of the API bears the token.
func (s *Server) allowed(r *http.Request) bool {
	_, got, ok := r.BasicAuth()
	if !ok {
		_, got, _ = strings.Cut(r.Header.Get("Authorization"), " ")
	}
	return s.Knows(got)
}

// CloneURL is where git clones owner/name from and pushes to, with the token in it, if there is one.
func (s *Server) CloneURL(owner, name string) string { return s.Clone("git", owner+"/"+name) }
