package sshtest

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// script runs what a client says, `git-upload-pack 'PATH'`, below the root. The shell takes the quotes off: who has the
// key may run anything, and is a test.
const script = `eval "set -- $LINE"
case $1 in
git-upload-pack | git-receive-pack | git-upload-archive) exec git "${1#git-}" "$ROOT$2" ;;
esac
echo "only git is served here" >&2
exit 128`

func (s *Server) serve(conn net.Conn, cfg *ssh.ServerConfig) {
	if !s.enter(conn) {
		return
	}
	defer s.leave(conn)
	_, channels, requests, err := ssh.NewServerConn(conn, cfg)
	if err != nil {
		return
	}
	var sessions sync.WaitGroup
	sessions.Go(func() { ssh.DiscardRequests(requests) })
	for c := range channels {
		sessions.Go(func() { s.session(c) })
	}
	sessions.Wait()
}

// enter notes a connection, so that Close can end it; false means that it came too late.
func (s *Server) enter(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return false
	}
	s.open[conn] = true
	return true
}

func (s *Server) leave(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, conn)
}

// session serves one command. Of the environment it takes what forges take, which version of git's protocol to speak.
func (s *Server) session(c ssh.NewChannel) {
	channel, requests, err := c.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	environment := append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "ROOT="+s.root)
	for r := range requests {
		var said struct{ Text string }
		switch r.Type {
		case "env":
			var pair struct{ Name, Value string }
			known := ssh.Unmarshal(r.Payload, &pair) == nil && pair.Name == "GIT_PROTOCOL"
			if known {
				environment = append(environment, "GIT_PROTOCOL="+pair.Value)
			}
			_ = r.Reply(known, nil) // A client that left needs no answer.
		case "exec":
			if ssh.Unmarshal(r.Payload, &said) != nil {
				return
			}
			_ = r.Reply(true, nil)
			s.run(channel, said.Text, environment)
			return
		default:
			_ = r.Reply(false, nil)
		}
	}
}

func (s *Server) run(channel ssh.Channel, line string, environment []string) {
	s.mu.Lock()
	s.commands = append(s.commands, strings.TrimSpace(line))
	s.mu.Unlock()
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(environment, "LINE="+line)
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		_, _ = io.Copy(stdin, channel) // It ends with the channel.
		stdin.Close()
	})
	status := struct{ Code uint32 }{}
	if cmd.Run() != nil {
		status.Code = 128 // As git says that it gave up.
	}
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(&status))
	channel.Close()
	reading.Wait()
}
