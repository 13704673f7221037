package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ownGroup gives a process a group of its own.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// ownCPU is how long this process has computed.
func ownCPU() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

// child is this program in another process, as one of children.
type child struct {
	cmd  *exec.Cmd
	line string // the first that it wrote to its standard output, without its end
}

// startSelf starts a child and returns when it has written a line.
func startSelf(ctx context.Context, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		c.kill()
		return nil, fmt.Errorf("%s has ended: %w", args[0], err)
	}
	c.line = strings.TrimSuffix(line, "\n")
	return c, nil
}

// kill ends the child.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // killed, as we want it
}

// usage is what a process has taken so far.
type usage struct {
	cpu       time.Duration
	rss, peak float64 // MiB now, and at most
}

// usageOf asks Linux about a process.
func usageOf(pid int) (usage, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return usage{}, err
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return usage{}, err
	}
	const tick = 10 * time.Millisecond // of Linux, whatever the machine's own
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return usage{}, fmt.Errorf("%s/stat: cannot be read", dir)
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return usage{
		cpu: time.Duration(user+system) * tick, rss: mebibytes(string(status), "VmRSS:"), peak: mebibytes(string(status), "VmHWM:"),
	}, errors.Join(err1, err2)
}

// mebibytes is a line of a process's status, which is in KiB.
func mebibytes(status, name string) float64 {
	_, rest, _ := strings.Cut(status, name)
	var n float64
	_, _ = fmt.Sscan(rest, &n) // 0 of a process that has ended
	return n / 1024
}
