package local

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"syscall"
	"time"

	"github.com/millrace-ci/millrace/agent/mask"
	"github.com/millrace-ci/millrace/runners"
)

// MaxLine is the longest line of a log.
const MaxLine = maxLine

// Lines writes pieces as a container's output into a log of at most size bytes, as the keeper does.
func Lines(to io.Writer, size int, now func() time.Time, pieces ...[]byte) error {
	j := &journal{to: to, now: now, max: size}
	w := j.writer(taskName)
	for _, piece := range pieces {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	w.end()
	return j.close()
}

// EndImmortal is the result of a command that times out and whose end never comes.
func EndImmortal(ctx context.Context) runners.Result {
	none, err := mask.New()
	if err != nil {
		return runners.Result{Reason: err.Error()}
	}
	k := keeper{log: &journal{to: io.Discard, now: time.Now, max: runners.MaxLog, hide: none}}
	k.order.Job.Timeout = time.Millisecond
	g := &group{command: exec.Command("/bin/sleep", "600"), ended: make(chan struct{})}
	g.guard = exec.Command("/bin/sleep", "600")
	g.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := errors.Join(g.command.Start(), g.guard.Start()); err != nil {
		return runners.Result{Reason: err.Error()}
	}
	why := k.await(ctx, g)
	_, _ = g.command.Wait(), g.guard.Wait() // They are mortal after all.
	return k.verdict(g.state(), why, time.Now())
}
