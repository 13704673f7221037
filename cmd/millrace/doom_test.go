package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// doom is where a process kills itself with SIGKILL: when it logs a message for the nth time ("log:2:attempt started"),
// or just before or after its nth call to Redis ("before:17", "after:17"). "never" counts calls only.
type doom struct {
	kind    string
	n       int64
	message string
	calls   atomic.Int64
	logged  atomic.Int64
}

func parseDoom(s string) *doom {
	parts := strings.SplitN(s+"::", ":", 3)
	n, _ := strconv.ParseInt(parts[1], 10, 64)
	return &doom{kind: parts[0], n: n, message: strings.TrimRight(parts[2], ":")}
}

func (d *doom) strike() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until the signal is there
}

// call counts one call and strikes around it.
func (d *doom) call(do func() error) error {
	n := d.calls.Add(1)
	if d.kind == "before" && n == d.n {
		d.strike()
	}
	err := do()
	if d.kind == "after" && n == d.n {
		d.strike()
	}
	return err
}

// DialHook, ProcessHook and ProcessPipelineHook are redis.Hook's.
func (d *doom) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (d *doom) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "xreadgroup" || cmd.Name() == "client" { // idle waiting says nothing of how far things are
			return next(ctx, cmd)
		}
		return d.call(func() error { return next(ctx, cmd) })
	}
}

func (d *doom) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return d.call(func() error { return next(ctx, cmds) })
	}
}

// watch makes a log handler that strikes after the message was written.
func (d *doom) watch(h slog.Handler) slog.Handler { return &doomedLog{h, d} }

type doomedLog struct {
	slog.Handler
	doom *doom
}

func (l *doomedLog) Handle(ctx context.Context, r slog.Record) error {
	err := l.Handler.Handle(ctx, r)
	if l.doom.kind == "log" && r.Message == l.doom.message && l.doom.logged.Add(1) == l.doom.n {
		l.doom.strike()
	}
	if r.Message == "status told" { // how many calls there are to be killed at
		fmt.Fprintf(os.Stderr, "calls %d\n", l.doom.calls.Load())
	}
	return err
}
