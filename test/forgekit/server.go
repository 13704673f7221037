package forgekit

import (
	"context"
	"crypto/hmac"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Config says where a little forge keeps its repositories and who may use it.
type Config struct {
	Dir   string // for the repositories; is made if it is not there
	Token string // wanted of everybody, by git as the basic password, by the API as the forge has it; "": nobody is asked
	SSH   string // ssh://git@HOST:PORT of a server that has Dir for its root, told in payloads; "": port 22, where none is
}

// Server is what every little forge stands on: a port, the courier of its deliveries, and an end to all that. It is
// safe for concurrent use.
type Server struct {
	Faults
	URL string // http://127.0.0.1:PORT
	Dir string // of the repositories, absolute
	SSH string // see Config

	name, token string
	patience    time.Duration
	listener    net.Listener
	http        *http.Server
	ctx         context.Context // ends when the server closes
	cancel      context.CancelCauseFunc
	courier     *Courier
	changed     Bell
	served      sync.WaitGroup
}

// Listen takes a free port of the loopback for the forge called name, which waits so long for the answer to a delivery.
// It serves nothing until Serve.
func Listen(name string, patience time.Duration, cfg Config) (*Server, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s := &Server{
		URL: "http://" + listener.Addr().String(), Dir: dir, SSH: cfg.SSH,
		name: name, token: cfg.Token, patience: patience, listener: listener,
	}
	s.courier = NewCourier(patience, s.changed.Ring)
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s, nil
}

// Serve starts to answer with handler and to send deliveries. Close ends both.
func (s *Server) Serve(handler http.Handler) {
	s.http = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	s.served.Go(func() { _ = s.http.Serve(s.listener) }) // It returns when Close closes it.
	s.served.Go(func() { s.courier.Run(s.ctx) })
}

// Close stops the server and waits for everything that it does. Deliveries that were not sent yet never are.
func (s *Server) Close() error {
	s.cancel(errors.New(s.name + " is closed"))
	patience, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	err := s.http.Shutdown(patience) // It waits for what git is doing.
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	s.served.Wait()
	return err
}

// Context ends when the server closes.
func (s *Server) Context() context.Context { return s.ctx }

// Wait returns when until is true. It asks again whenever a delivery was answered or a status was set.
func (s *Server) Wait(ctx context.Context, until func() bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })()
	return s.changed.Wait(ctx, until)
}

// Ring wakes who waits: something changed.
func (s *Server) Ring() { s.changed.Ring() }

// Send puts a delivery in line. It waits for room.
func (s *Server) Send(d Delivery) { s.courier.Send(s.ctx, d) }

// Deliveries lists what was sent and answered, oldest first.
func (s *Server) Deliveries() []Delivery { return s.courier.Sent() }

// Knows tells whether token is the one that is wanted, if one is.
func (s *Server) Knows(token string) bool {
	return s.token == "" || subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) == 1
}

// Init makes the empty repository path, to which pusher is said to push.
func (s *Server) Init(r *Repo, path, pusher string) error {
	r.Root, r.Path, r.Pusher = s.Dir, path, pusher
	return r.Init(s.ctx)
}

// Clone is where git clones the repository path from and pushes to, as user with the token, if there is one.
func (s *Server) Clone(user, path string) string {
	u := url.URL{Scheme: "http", Host: strings.TrimPrefix(s.URL, "http://"), Path: "/" + path + ".git"}
	if s.token != "" {
		u.User = url.UserPassword(user, s.token)
	}
	return u.String()
}

// Git serves one request of git to who has the token, and calls changed with what a push did. A nil repo is not there.
func (s *Server) Git(w http.ResponseWriter, r *http.Request, repo *Repo, changed func([]Change)) {
	_, password, _ := r.BasicAuth()
	switch {
	case !s.Knows(password):
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", s.name))
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	case repo == nil:
		http.NotFound(w, r)
	default:
		repo.Serve(s.ctx, w, r, changed)
	}
}

// Answer answers with body as JSON.
func Answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // Who does not read its answer misses it.
}

// Encode is a payload, one of our own structs of strings, numbers and times, as a body.
func Encode(payload any) []byte {
	body, err := json.MarshalIndent(payload, "", "  ")
	if err != nil {
		panic("forgekit: encode payload: " + err.Error())
	}
	return body
}

// HexHMAC is the hex of body's HMAC, as forges sign.
func HexHMAC(algorithm func() hash.Hash, secret string, body []byte) string {
	mac := hmac.New(algorithm, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}
