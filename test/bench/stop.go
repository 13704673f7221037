package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// stopped is what one round showed, in milliseconds.
type stopped struct {
	first, p99  float64 // answers while Redis stands still: the first, and all after it
	closed, end float64 // from SIGTERM until nobody can connect any more, and until the process has ended
}

// stop measures how pushes are answered while Redis stands still, and how the daemon ends while pushes come: P14.
func stop(ctx context.Context, o options) error {
	binary, err := buildDaemon(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(binary))
	for _, fsync := range o.fsync {
		s, err := startServer(ctx, fsync)
		if err != nil {
			return err
		}
		results, err := alternate(o, func(string) (stopped, error) { return stopOnce(ctx, s, binary, o.n) })
		if err == nil {
			err = about(ctx, s, fmt.Sprintf("Redis stands still for %d pushes, then SIGTERM; appendfsync %s", o.n, fsync))
		}
		s.stop()
		if err != nil {
			return err
		}
		printTable(o, []column[stopped]{
			{"first answer without Redis, ms", "%.0f", func(s stopped) float64 { return s.first }, false},
			{"p99 of those after it", "%.1f", func(s stopped) float64 { return s.p99 }, false},
			{"SIGTERM to intake closed, ms", "%.1f", func(s stopped) float64 { return s.closed }, false},
			{"SIGTERM to end, ms", "%.0f", func(s stopped) float64 { return s.end }, false},
		}, results)
	}
	return nil
}

func stopOnce(ctx context.Context, s *server, binary string, n int) (r stopped, err error) {
	bodies, err := recordedPushes()
	if err != nil {
		return r, err
	}
	if err := s.empty(ctx); err != nil {
		return r, err
	}
	d, err := startDaemon(ctx, binary, "unix://"+s.socket, nowhere)
	if err != nil {
		return r, err
	}
	from := newSender(d.address, hookSecret, http.StatusAccepted, bodies...)
	if err := r.standStill(ctx, s, from, n); err != nil {
		d.kill()
		return r, err
	}
	pushing, enough := context.WithCancel(ctx)
	pushed := make(chan struct{})
	go func() {
		defer close(pushed)
		_, _ = from.open(pushing, 1000, 50) // which fails when nobody listens any more
	}()
	<-time.After(time.Second)
	err = r.terminate(d)
	enough()
	<-pushed
	return r, err
}

// standStill stops Redis for n pushes.
func (r *stopped) standStill(ctx context.Context, s *server, from *sender, n int) error {
	if _, err := from.open(ctx, 50, 50); err != nil {
		return err
	}
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	start := time.Now()
	err1 := from.deliver(ctx)
	r.first = float64(time.Since(start).Microseconds()) / 1000
	took, err2 := from.open(ctx, n, 50)
	err3 := s.cmd.Process.Signal(syscall.SIGCONT)
	if len(took) > 0 {
		r.p99 = quantile(took, 0.99)
	}
	return errors.Join(err1, err2, err3)
}

// terminate sends SIGTERM and waits.
func (r *stopped) terminate(d *daemon) error {
	start := time.Now()
	if err := d.ask(); err != nil {
		return err
	}
	for {
		c, err := net.DialTimeout("tcp", d.address, time.Second)
		if err != nil {
			break
		}
		_ = c.Close()
		<-time.After(time.Millisecond)
	}
	r.closed = float64(time.Since(start).Microseconds()) / 1000
	d.end()
	r.end = float64(time.Since(start).Microseconds()) / 1000
	return nil
}
