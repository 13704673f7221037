// Package sshtest serves git repositories over ssh on the loopback: the git binary answers, Go's own ssh is around it,
// one key of a client's is let in. Tests of whatever clones call it; it calls git. It runs no other command than git's,
// and knows no forge.
package sshtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// user is whom everybody logs in as, as at every forge.
const user = "git"

// Server is a running ssh server. It is safe for concurrent use.
type Server struct {
	Addr string     // 127.0.0.1:PORT
	Key  ssh.Signer // the client's; the server lets in nobody else

	root     string
	host     ssh.Signer
	secret   ed25519.PrivateKey // of Key
	listener net.Listener
	serving  sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	open     map[net.Conn]bool
	commands []string
}

// Start serves the repositories under the folder root, at a free port of the loopback. The paths that clients say are
// taken below root; with root "" they are those of this machine. The caller closes the Server.
func Start(root string) (*Server, error) {
	s := &Server{root: root, open: map[net.Conn]bool{}}
	var err error
	if _, s.host, err = newKey(); err != nil {
		return nil, fmt.Errorf("start ssh: %w", err)
	}
	if s.secret, s.Key, err = newKey(); err != nil {
		return nil, fmt.Errorf("start ssh: %w", err)
	}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start ssh: %w", err)
	}
	s.Addr = s.listener.Addr().String()
	s.serving.Go(s.accept)
	return s, nil
}

// Close ends the server and its connections, and waits for what git is doing.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for conn := range s.open {
		conn.Close()
	}
	s.mu.Unlock()
	err := s.listener.Close()
	s.serving.Wait()
	return err
}

// URL is where git clones the repository at path from: ssh://git@127.0.0.1:PORT/path. The path begins with a slash.
func (s *Server) URL(path string) string { return "ssh://" + user + "@" + s.Addr + path }

// Login is how a client in Go logs in, and knows the server.
func (s *Server) Login() *ssh.ClientConfig {
	return &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(s.Key)}, HostKeyCallback: ssh.FixedHostKey(s.host.PublicKey()),
	}
}

// PrivateKey is the client's key as a file that OpenSSH reads.
func (s *Server) PrivateKey() []byte {
	block, err := ssh.MarshalPrivateKey(s.secret, "sshtest")
	if err != nil {
		panic("sshtest: write our own key: " + err.Error())
	}
	return pem.EncodeToMemory(block)
}

// KnownHosts is the server's line of a known_hosts file, with its end of line.
func (s *Server) KnownHosts() []byte {
	return []byte(knownhosts.Line([]string{s.Addr}, s.host.PublicKey()) + "\n")
}

// Commands are the commands that clients ran, as they said them, oldest first.
func (s *Server) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.commands...)
}

func newKey() (ed25519.PrivateKey, ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(key)
	return key, signer, err
}

func (s *Server) accept() {
	cfg := &ssh.ServerConfig{PublicKeyCallback: s.admit}
	cfg.AddHostKey(s.host)
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // Close closed it.
		}
		s.serving.Go(func() { s.serve(conn, cfg) })
	}
}

func (s *Server) admit(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if c.User() != user || string(key.Marshal()) != string(s.Key.PublicKey().Marshal()) {
		return nil, errors.New("unknown key")
	}
	return nil, nil
}
