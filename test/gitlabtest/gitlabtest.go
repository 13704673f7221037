// Package gitlabtest is a GitLab small enough for tests, in this process: bare repositories that the git binary serves
// over HTTP, the webhook deliveries that pushes and merge requests cause, and the commit statuses API with its state
// machine, each as GitLab 17 does it. Tests call it; it calls git, and the hooks that it was given. It knows nothing of
// Millrace, keeps everything but the repositories in memory, and has no pages, users or CI of its own.
package gitlabtest

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// Config says where a Server keeps its repositories and who may use it.
type Config struct {
	Dir   string // for the repositories; is made if it is not there
	Token string // wanted of everybody, by git as the basic password, by the API as PRIVATE-TOKEN or Bearer; "": nobody is asked
	SSH   string // ssh://git@HOST:PORT of a server that has Dir for its root, told in payloads; "": port 22, where none is
}

// Server is a running GitLab. It is safe for concurrent use.
type Server struct {
	URL string // http://127.0.0.1:PORT

	cfg     Config
	http    *http.Server
	ctx     context.Context // ends when the server closes
	cancel  context.CancelCauseFunc
	courier *forgekit.Courier
	changed forgekit.Bell
	faults  forgekit.Faults
	served  sync.WaitGroup

	mu       sync.Mutex
	projects map[string]*project // by path
	hooks    []Hook
	lastID   int64 // of pipelines and jobs
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
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("start gitlab: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("start gitlab: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start gitlab: %w", err)
	}
	cfg.Dir = dir
	s := &Server{URL: "http://" + listener.Addr().String(), cfg: cfg, projects: map[string]*project{}}
	s.courier = forgekit.NewCourier(deliveryTimeout, s.changed.Ring)
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	s.served.Go(func() { _ = s.http.Serve(listener) }) // It returns when Close closes it.
	s.served.Go(func() { s.courier.Run(s.ctx) })
	return s, nil
}

// Close stops the server and waits for everything that it does. Deliveries that were not sent yet never are.
func (s *Server) Close() error {
	s.cancel(errors.New("gitlab is closed"))
	patience, cancel := context.WithTimeout(context.Background(), deliveryTimeout)
	defer cancel()
	err := s.http.Shutdown(patience) // It waits for what git is doing.
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	s.served.Wait()
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v4/projects/{id}/statuses/{sha}", s.api(s.createStatus))
	mux.HandleFunc("GET /api/v4/projects/{id}/repository/commits/{sha}/statuses", s.api(s.listStatuses))
	mux.HandleFunc("GET /api/v4/projects/{id}/merge_requests/{iid}/pipelines", s.api(s.listPipelines))
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
	p.Root, p.Path, p.Pusher = s.cfg.Dir, path, pusher
	if err := p.Init(s.ctx); err != nil {
		return 0, fmt.Errorf("create project %s: %w", path, err)
	}
	s.projects[path] = p
	return p.id, nil
}

// CloneURL is where git clones a project from and pushes to, with the token in it, if there is one.
func (s *Server) CloneURL(path string) string {
	u := url.URL{Scheme: "http", Host: strings.TrimPrefix(s.URL, "http://"), Path: "/" + path + ".git"}
	if s.cfg.Token != "" {
		u.User = url.UserPassword("oauth2", s.cfg.Token)
	}
	return u.String()
}

// Wait returns when until is true. It asks again whenever a delivery was answered or a status was set.
func (s *Server) Wait(ctx context.Context, until func() bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })()
	return s.changed.Wait(ctx, until)
}

// serveGit serves one request of git, and tells the hooks what a push changed.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	path, _, isGit := strings.Cut(r.PathValue("path"), ".git/")
	p := s.project(path)
	switch {
	case !s.allowed(r):
		w.Header().Set("WWW-Authenticate", `Basic realm="GitLab"`)
		http.Error(w, "HTTP Basic: Access denied", http.StatusUnauthorized)
	case p == nil || !isGit:
		http.NotFound(w, r)
	default:
		p.Serve(s.ctx, w, r, func(changed []forgekit.Change) { s.tell(p, changed) })
	}
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

// allowed tells whether a request bears the token.
func (s *Server) allowed(r *http.Request) bool {
	_, got, ok := r.BasicAuth()
	if bearer, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); isBearer {
		got = bearer
	} else if !ok {
		got = r.Header.Get("PRIVATE-TOKEN")
	}
	return s.cfg.Token == "" || subtle.ConstantTimeCompare([]byte(got), []byte(s.cfg.Token)) == 1
}
