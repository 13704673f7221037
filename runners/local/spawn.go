package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/millrace-ci/millrace/runners"
	"golang.org/x/sys/unix"
)

const (
	lockFD = 3           // where a keeper finds its lock
	ready  = "started\n" // what a keeper writes once the job is made
)

// inherited are the names that a keeper gets of our environment: what git and an engine need to reach their servers.
// The rest, with the agent's own secrets, stays here. Of these too tasks get none.
var inherited = []string{
	"PATH", "HOME", "XDG_RUNTIME_DIR", "DOCKER_HOST", "DOCKER_CONFIG", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
}

// spawn starts the job's keeper, which takes over the held lock, and returns when the job is made.
func (r *Runner) spawn(ctx context.Context, f folder, lock *os.File, job runners.Job) error {
	values, err := r.values(job)
	if err != nil {
		return err
	}
	secret, err := json.Marshal(handed{credentials{job.Source.Username, job.Source.Password}, values})
	if err != nil {
		return fmt.Errorf("encode what the keeper is given: %w", err)
	}
	in, out, err := r.launch(f, lock)
	if err != nil {
		return fmt.Errorf("start keeper: %w", err)
	}
	defer out.Close()
	defer context.AfterFunc(ctx, func() {
		_ = errors.Join(in.SetWriteDeadline(time.Unix(1, 0)), out.SetReadDeadline(time.Unix(1, 0)))
	})()
	_, _ = in.Write(secret) // A keeper that is dead by now, or does not read, cannot say that it is ready either.
	in.Close()
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != ready {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("the keeper ended before the job started, see %s", f.path(keeperFile))
	}
	return nil
}

// launch starts the keeper in a session of its own and returns the ends of its standard input and output.
func (r *Runner) launch(f folder, lock *os.File) (in, out *os.File, err error) {
	stdin, in, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer stdin.Close()
	out, stdout, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, nil, err
	}
	defer stdout.Close()
	if err = r.exec(f, stdin, stdout, lock); err != nil {
		in.Close()
		out.Close()
	}
	return in, out, err
}

func (r *Runner) exec(f folder, stdin, stdout, lock *os.File) error {
	stderr, err := os.OpenFile(f.path(keeperFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer stderr.Close()
	argv := slices.Concat(r.cfg.Command, []string{string(f)})
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = stdin, stdout, stderr, []*os.File{lock}
	cmd.Dir, cmd.Env = string(f), []string{}
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	r.keepers[cmd.Process.Pid] = struct{}{}
	return cmd.Process.Release()
}

// reap takes leave of keepers that have ended. A keeper may live for hours and outlives us where it must, so no
// goroutine waits for one; the verbs call this in passing instead.
func (r *Runner) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for pid := range r.keepers {
		if got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); got == pid || errors.Is(err, unix.ECHILD) {
			delete(r.keepers, pid)
		}
	}
}
