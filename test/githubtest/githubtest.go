// Package githubtest is a GitHub small enough for tests, in this process: bare repositories that the git binary serves
// over HTTP, the webhook deliveries that pushes cause, the API by which deliveries are listed and asked for again, and
// those of commit statuses and, for an app, check runs with their limits, each as github.com does it, at the addresses of an
// Enterprise Server. Tests
// call it; it calls git, and the hooks that it was given. It knows nothing of Millrace, keeps everything but the
// repositories in memory, and has no pages, users or requests.
package githubtest

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// Config says where a Server keeps its repositories and who may use it. The API takes the token as Bearer.
type Config = forgekit.Config

// Server is a running GitHub. It is safe for concurrent use.
type Server struct {
	*forgekit.Server
	limits limits

	mu       sync.Mutex
	repos    map[string]*repo
	statuses map[string][]Status   // by owner/name@sha, oldest first
	checks   map[string][]CheckRun // likewise
	blind    int                   // how many lists of check runs are to be empty
	app      *App                  // nil: none is installed
	grants   map[string]grant      // by installation token
	granted  int                   // how many there ever were
	lastID   int64                 // of repositories, hooks and statuses
}

// repo is one repository. Its hooks are guarded by the Server's mu.
type repo struct {
	forgekit.Repo
	id          int64
	owner, name string
	created     time.Time
	hooks       []hook
}

// Start starts a Server on a free port of the loopback.
func Start(cfg Config) (*Server, error) {
	base, err := forgekit.Listen("github", deliveryTimeout, cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{Server: base, repos: map[string]*repo{}, statuses: map[string][]Status{}, checks: map[string][]CheckRun{}, grants: map[string]grant{}}
	s.Serve(s.routes())
	return s, nil
}

// API is the address of the REST API.
func (s *Server) API() string { return s.URL + "/api/v3" }

func (s *Server) routes() http.Handler {
	const repos = "/api/v3/repos/{owner}/{name}/"
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+repos+"statuses/{sha}", s.api(s.need("statuses", s.createStatus)))
	mux.HandleFunc("GET "+repos+"commits/{sha}/statuses", s.api(s.listStatuses))
	mux.HandleFunc("POST "+repos+"check-runs", s.api(s.need(checksPermission, s.createCheck)))
	mux.HandleFunc("PATCH "+repos+"check-runs/{check}", s.api(s.need(checksPermission, s.updateCheck)))
	mux.HandleFunc("GET "+repos+"commits/{sha}/check-runs", s.api(s.listChecks))
	mux.HandleFunc("GET "+repos+"installation", s.asApp(s.findInstallation))
	mux.HandleFunc("POST /api/v3/app/installations/{installation}/access_tokens", s.asApp(s.grantToken))
	mux.HandleFunc("GET "+repos+"hooks", s.api(s.listHooks))
	mux.HandleFunc("GET "+repos+"hooks/{hook}/deliveries", s.api(s.listDeliveries))
	mux.HandleFunc("POST "+repos+"hooks/{hook}/deliveries/{delivery}/attempts", s.api(s.redeliver))
	mux.HandleFunc("/{owner}/{name}/{rest...}", s.serveGit)
	return mux
}

// api wraps what the API asks first: the token, the limits, the repository.
func (s *Server) api(next func(http.ResponseWriter, *http.Request, *repo)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		repo := s.repo(r.PathValue("owner"), r.PathValue("name"))
		_, known := s.may(bearer)
		switch {
		case !known:
			refuse(w, http.StatusUnauthorized, "Bad credentials")
		case !s.limits.enter(w):
			return
		case repo == nil:
			s.limits.leave()
			refuse(w, http.StatusNotFound, "Not Found")
		default:
			defer s.limits.leave()
			s.Suffer(w, r, func(status int) { refuse(w, status, faultText(status)) }, func(w http.ResponseWriter, r *http.Request) {
				next(w, r, repo)
			})
		}
	}
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
	s.lastID++
	r.id = s.lastID
	s.repos[path] = r
	return nil
}

// CloneURL is where git clones owner/name from and pushes to, with the token in it, if there is one.
func (s *Server) CloneURL(owner, name string) string {
	return s.Clone("x-access-token", owner+"/"+name)
}

// serveGit serves one request of git, and tells the hooks what a push changed.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	name, isGit := strings.CutSuffix(r.PathValue("name"), ".git")
	repo := s.repo(r.PathValue("owner"), name)
	if repo == nil || !isGit {
		s.Git(w, r, nil, nil)
		return
	}
	s.Git(w, r, &repo.Repo, func(c []forgekit.Change) { s.tell(repo, c) })
}

func (s *Server) repo(owner, name string) *repo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repos[owner+"/"+name]
}

// refuse answers an error as GitHub does.
func refuse(w http.ResponseWriter, status int, message string, details ...string) {
	body := map[string]any{"message": message, "documentation_url": "https://docs.github.com/rest", "status": fmt.Sprint(status)}
	var errors []map[string]string
	for _, d := range details {
		errors = append(errors, map[string]string{"resource": "Status", "code": "custom", "message": d})
	}
	if errors != nil {
		body["errors"] = errors
	}
	forgekit.Answer(w, status, body)
}
