package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// burnt is what one round of one side showed.
type burnt struct {
	rate    float64 // tasks a second
	calls   float64 // client calls a task, an EVALSHA counts one
	scripts float64 // of them scripts, by the server's count
	steady  float64 // rate of the last tenth to that of the first
	server  float64 // CPU time of the server a task, in microseconds
	own     float64 // CPU time of the worker's process a task
}

// burn measures how fast a line that is full is burnt down: P3.
func burn(ctx context.Context, o options) error {
	for _, fsync := range o.fsync {
		s, err := startServer(ctx, fsync)
		if err != nil {
			return err
		}
		results, err := alternate(o, func(name string) (burnt, error) { return burnOnce(ctx, s, name, fsync, o.n) })
		if err == nil {
			err = about(ctx, s, fmt.Sprintf("Burn-down: %d tasks, %d slots, appendfsync %s", o.n, slots, fsync))
		}
		s.stop()
		if err != nil {
			return err
		}
		printTable(o, []column[burnt]{
			{"tasks/s", "%.0f", func(b burnt) float64 { return b.rate }, true},
			{"calls/task", "%.2f", func(b burnt) float64 { return b.calls }, false},
			{"scripts/task", "%.2f", func(b burnt) float64 { return b.scripts }, false},
			{"server's CPU µs/task", "%.1f", func(b burnt) float64 { return b.server }, false},
			{"worker's CPU µs/task", "%.1f", func(b burnt) float64 { return b.own }, false},
			{"last tenth to first", "%.2f", func(b burnt) float64 { return b.steady }, false},
		}, results)
	}
	return nil
}

// burnOnce fills the line, and measures from the worker's start to the end of the last task's handler, as asynq's
// benchmark does.
func burnOnce(ctx context.Context, s *server, name, fsync string, n int) (burnt, error) {
	var calls counter
	c := s.client(&calls)
	defer c.Close()
	who, err := newSide(name, c)
	if err != nil {
		return burnt{}, err
	}
	fill := func() error { return who.push(ctx, 0, n) }
	if err := errors.Join(s.empty(ctx), s.hurry(ctx, fsync, fill)); err != nil {
		return burnt{}, fmt.Errorf("fill: %w", err)
	}
	server1, own1, err := cpus(ctx, s)
	if err != nil {
		return burnt{}, err
	}
	calls.n.Store(0)
	t, err := workOff(ctx, who, n)
	if err != nil {
		return burnt{}, fmt.Errorf("%s: %w", name, err)
	}
	sent := calls.n.Load()
	server2, own2, err1 := cpus(ctx, s)
	scripts, err2 := s.scripts(ctx)
	each := func(total float64) float64 { return total / float64(n) }
	return burnt{
		rate: float64(n) / t.all.Sub(t.start).Seconds(), calls: each(float64(sent)), scripts: each(float64(scripts)),
		steady: t.first.Sub(t.start).Seconds() / t.all.Sub(t.ninth).Seconds(),
		server: each(float64((server2 - server1).Microseconds())), own: each(float64((own2 - own1).Microseconds())),
	}, errors.Join(err1, err2)
}

func cpus(ctx context.Context, s *server) (server, own time.Duration, err error) {
	server, err1 := s.cpu(ctx)
	own, err2 := ownCPU()
	return server, own, errors.Join(err1, err2)
}

// times are when a burn-down began, when its first tenth and its first nine tenths were done, and when all of it was.
type times struct{ start, first, ninth, all time.Time }

// workOff lets a worker work until n tasks are done.
func workOff(ctx context.Context, who side, n int) (times, error) {
	working, stop := context.WithCancel(ctx)
	defer stop()
	var done atomic.Int64
	t := times{start: time.Now()}
	err := who.work(working, "bench", slots, func(context.Context, int) {
		switch int(done.Add(1)) { // each number comes once, so that nobody writes a time twice
		case n / 10:
			t.first = time.Now()
		case n - n/10:
			t.ninth = time.Now()
		case n:
			t.all = time.Now()
			stop()
		}
	})
	if got := done.Load(); err == nil && got != int64(n) {
		err = fmt.Errorf("%d of %d tasks were done", got, n)
	}
	return t, errors.Join(err, ctx.Err())
}
