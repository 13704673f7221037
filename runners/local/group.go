package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guard is the program of a group's leader: it is deaf to what can be ignored, reads until the keeper is gone, and kills
// the whole group, itself included.
const guard = `trap '' HUP INT QUIT TERM USR1 USR2 ALRM; read _; kill -KILL 0`

// group is a command and all that it starts, in one process group. A guard leads it, for two reasons: when the keeper is
// killed, also the grandchildren are killed; and as long as it is not waited for, no other group can have the group's
// number, so that a signal never goes astray. Not caught is only what left the group (setsid) of a keeper that is
// killed, and what a command leaves that kills its guard and then loses its keeper.
type group struct {
	guard    *exec.Cmd
	lifeline *os.File // closed by the kernel when this process dies
	command  *exec.Cmd
	ended    chan struct{} // closed when the command has ended
}

// errGuard means that not even the guard could be started.
var errGuard = errors.New("start guard")

// startGroup starts cmd. The calling goroutine is locked to its thread until the group has ended, see inGroup.
func startGroup(cmd *exec.Cmd) (*group, error) {
	asleep, lifeline, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGuard, err)
	}
	defer asleep.Close()
	g := &group{guard: exec.Command("/bin/sh", "-c", guard), lifeline: lifeline, command: cmd, ended: make(chan struct{})}
	g.guard.Stdin, g.guard.Env, g.guard.Dir = asleep, []string{}, "/"
	g.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := g.guard.Start(); err != nil {
		lifeline.Close()
		return nil, fmt.Errorf("%w: %w", errGuard, err)
	}
	cmd.SysProcAttr = inGroup(g.guard.Process.Pid)
	if err := cmd.Start(); err != nil {
		g.close()
		return nil, err
	}
	go func() {
		defer close(g.ended)
		_ = cmd.Wait() // How it ended state tells.
	}()
	return g, nil
}

// signal sends sig to all members.
func (g *group) signal(sig syscall.Signal) { _ = syscall.Kill(-g.guard.Process.Pid, sig) }

// killWithin is how long a killed command may take to be gone. Longer takes only what we may not kill: another user's, by
// sudo.
const killWithin = 5 * time.Second

// end asks the group and the command to end, and ends them when grace has passed and the command still runs. It returns
// when the command has ended or cannot be ended.
func (g *group) end(grace time.Duration) {
	g.signal(syscall.SIGTERM)
	if !g.inside() {
		_ = g.command.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-g.ended:
		return
	case <-time.After(grace):
	}
	g.signal(syscall.SIGKILL)
	_ = g.command.Process.Kill()
	select {
	case <-g.ended:
	case <-time.After(killWithin):
	}
}

// inside tells whether the command is where it was started. One that has left (setsid) hears no signal to the group; one
// that has not must hear it once, since many take a second SIGTERM for impatience.
func (g *group) inside() bool {
	pgid, err := unix.Getpgid(g.command.Process.Pid)
	return err == nil && pgid == g.guard.Process.Pid
}

// state is how the command ended, nil when it has not.
func (g *group) state() *os.ProcessState {
	select {
	case <-g.ended:
		return g.command.ProcessState
	default:
		return nil
	}
}

// close ends whatever the command left behind, in the group and outside of it.
func (g *group) close() {
	g.signal(syscall.SIGKILL)
	_ = g.guard.Wait() // It was killed.
	g.lifeline.Close()
	endOrphans()
}

// outcome tells a command's exit code as a shell would, and the reason, "" for 0; -1 for one that has not ended.
func outcome(state *os.ProcessState) (code int, reason string) {
	if state == nil {
		return -1, "its process could not be killed and may still run"
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled():
		return 128 + int(status.Signal()), "killed by " + unix.SignalName(status.Signal())
	case state.ExitCode() != 0:
		return state.ExitCode(), fmt.Sprintf("exit code %d", state.ExitCode())
	}
	return 0, ""
}

// exhausted tells whether err is the machine's want of something, and no mistake of the command's author.
func exhausted(err error) bool {
	for _, lack := range []error{errGuard, unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE} {
		if errors.Is(err, lack) {
			return true
		}
	}
	return false
}

// cannotStart tells the exit code with which a shell answers err.
func cannotStart(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return 127
	}
	return 126
}
