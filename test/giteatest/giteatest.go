// Package giteatest is a Gitea small enough for tests and the demo, in this process: bare repositories that the git
// binary serves over HTTP, the webhook deliveries that a push causes, and the commit statuses API, each as Gitea 1.22
// does it. Tests and test/demo call it; it calls git, and the hooks that it was given. It knows nothing of Millrace,
// keeps everything but the repositories in memory, and has no pages, users or requests.
package giteatest

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
	"strings"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// Config says where a Server keeps its repositories and who may use it.
type Config struct {
	Dir   string // for the repositories; is made if it is not there
	Token string // wanted of everybody, by git as the basic password, by the API as 'token T' too; "": nobody is asked
	SSH   string // ssh://git@HOST:PORT of a server that has Dir for its root, told in payloads; "": port 22, where none is
}

// Server is a running Gitea. It is safe for concurrent use.
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
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("start gitea: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("start gitea: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start gitea: %w", err)
	}
	cfg.Dir = dir
	s := &Server{
		URL: "http://" + listener.Addr().String(), cfg: cfg,
		repos: map[string]*repo{}, statuses: map[string][]Status{},
	}
	s.courier = forgekit.NewCourier(deliveryTimeout, s.changed.Ring)
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	s.served.Go(func() { _ = s.http.Serve(listener) }) // It returns when Close closes it.
	s.served.Go(func() { s.courier.Run(s.ctx) })
	return s, nil
}

// Close stops the server and waits for everything that it does. Deliveries that were not sent yet never are.
func (s *Server) Close() error {
	s.cancel(errors.New("gitea is closed"))
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
	r.Root, r.Path, r.Pusher = s.cfg.Dir, owner+"/"+name, pusher
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repos[r.Path] != nil {
		return fmt.Errorf("create repository %s: it exists", r.Path)
	}
	if err := r.Init(s.ctx); err != nil {
		return fmt.Errorf("create repository %s: %w", r.Path, err)
	}
	r.id = int64(len(s.repos) + 1)
	s.repos[r.Path] = r
	return nil
}

// Dir is where the bare repository owner/name is.
func (s *Server) Dir(owner, name string) string { return filepath.Join(s.cfg.Dir, owner, name+".git") }

// Wait returns when until is true. It asks again whenever a delivery was answered or a status was set.
func (s *Server) Wait(ctx context.Context, until func() bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })()
	return s.changed.Wait(ctx, until)
}

// serveGit serves one request of git, and tells the hooks what a push changed.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	repo := s.repo(r.PathValue("owner"), r.PathValue("name"))
	switch {
	case !s.allowed(r):
		w.Header().Set("WWW-Authenticate", `Basic realm="Gitea"`)
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	case repo == nil || !strings.HasSuffix(r.PathValue("name"), ".git"):
		http.NotFound(w, r)
	default:
		repo.Serve(s.ctx, w, r, func(c []forgekit.Change) { s.tell(repo, c) })
	}
}

func (s *Server) repo(owner, name string) *repo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repos[owner+"/"+strings.TrimSuffix(name, ".git")]
}

// allowed tells whether a request bears the token.
func (s *Server) allowed(r *http.Request) bool {
	if s.cfg.Token == "" {
		return true
	}
	_, got, ok := r.BasicAuth()
	if !ok {
		_, got, _ = strings.Cut(r.Header.Get("Authorization"), " ")
	}
	return subtle.ConstantTimeCompare([]byte(got), []byte(s.cfg.Token)) == 1
}

// CloneURL is where git clones owner/name from and pushes to, with the token in it, if there is one.
func (s *Server) CloneURL(owner, name string) string {
	u := url.URL{Scheme: "http", Host: strings.TrimPrefix(s.URL, "http://"), Path: "/" + owner + "/" + name + ".git"}
	if s.cfg.Token != "" {
		u.User = url.UserPassword("git", s.cfg.Token)
	}
	return u.String()
}
