package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"golang.org/x/crypto/ssh"
)

// sshSession runs git-upload-pack on a server, once for each request, over one connection. go-git's own cannot be
// ended while it connects, nor its refs be bounded, and it serves one request.
type sshSession struct {
	client *ssh.Client
	path   string
	wire   *wire
	stop   func() bool

	ready *process // has sent its refs and waits for a request
}

// process is one git-upload-pack.
type process struct {
	*ssh.Session
	in  io.WriteCloser
	out io.Reader
}

// sshPort is where ssh servers listen unless the address says otherwise.
const sshPort = 22

// dial connects. When ctx ends the connection does too, and with it whatever reads from it.
func dial(ctx context.Context, from address, cfg *ssh.ClientConfig, w *wire) (*sshSession, error) {
	port := from.port
	if port == 0 {
		port = sshPort
	}
	host := net.JoinHostPort(from.host, strconv.Itoa(port))
	login := *cfg
	if from.user != "" {
		login.User = from.user
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(conn, host, &login)
	if err != nil {
		stop()
		conn.Close()
		if strings.Contains(err.Error(), "unable to authenticate") { // The package has no error of its own for it.
			return nil, fmt.Errorf("%w: the server does not know our ssh key", ErrDenied)
		}
		return nil, err
	}
	return &sshSession{client: ssh.NewClient(c, channels, requests), path: from.path, wire: w, stop: stop}, nil
}

// AdvertisedReferencesContext starts a git-upload-pack and reads its refs.
func (s *sshSession) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	p, err := s.start()
	if err != nil {
		return nil, err
	}
	adv := packp.NewAdvRefs()
	err = adv.Decode(s.wire.bounded(p.out, maxRefsBytes))
	switch {
	case errors.Is(err, packp.ErrEmptyAdvRefs), err == nil && adv.IsEmpty():
		return nil, transport.ErrEmptyRemoteRepository
	case errors.Is(err, packp.ErrEmptyInput):
		if exit := new(ssh.ExitError); errors.As(p.Wait(), &exit) {
			return nil, transport.ErrRepositoryNotFound // Why it ended it said to people, on its stderr.
		}
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	transport.FilterUnsupportedCapabilities(adv.Capabilities)
	s.ready = p
	return adv, nil
}

func (s *sshSession) start() (*process, error) {
	session, err := s.client.NewSession()
	if err != nil {
		return nil, err
	}
	p := &process{Session: session}
	if p.in, err = session.StdinPipe(); err != nil {
		return nil, err
	}
	if p.out, err = session.StdoutPipe(); err != nil {
		return nil, err
	}
	s.wire.requests++
	return p, session.Start("git-upload-pack " + quote(s.path))
}

// quote makes one word for the shell at the other end, and for git-shell, as git does it (sq_quote_buf).
func quote(s string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(s) + "'"
}

// UploadPack makes one request. Only the first may use the process that sent the refs.
func (s *sshSession) UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if s.ready == nil {
		if _, err := s.AdvertisedReferencesContext(ctx); err != nil {
			return nil, err
		}
	}
	p := s.ready
	s.ready = nil
	var text bytes.Buffer
	if err := req.UploadRequest.Encode(&text); err != nil {
		return nil, err
	}
	if err := pktline.NewEncoder(&text).EncodeString("done\n"); err != nil {
		return nil, err
	}
	if _, err := p.in.Write(text.Bytes()); err != nil {
		return nil, err
	}
	if err := p.in.Close(); err != nil {
		return nil, err
	}
	res := packp.NewUploadPackResponse(req)
	return res, res.Decode(body{s.wire.bounded(p.out, s.wire.limit), p.Session})
}

// Close ends the connection, and what still runs on it.
func (s *sshSession) Close() error {
	s.stop()
	return s.client.Close()
}
