package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// picked is what one round of one side showed, in microseconds.
type picked struct{ p50, p99 float64 }

// pickup measures how long a task takes from its push to its handler when nothing else is in line: P4.
func pickup(ctx context.Context, o options) error {
	for _, fsync := range o.fsync {
		s, err := startServer(ctx, fsync)
		if err != nil {
			return err
		}
		results, err := alternate(o, func(name string) (picked, error) { return pickOnce(ctx, s, name, o.n) })
		if err == nil {
			err = about(ctx, s, fmt.Sprintf("Idle pickup: %d tasks one by one, appendfsync %s", o.n, fsync))
		}
		s.stop()
		if err != nil {
			return err
		}
		printTable(o, []column[picked]{
			{"p50 µs", "%.0f", func(p picked) float64 { return p.p50 }, true},
			{"p99 µs", "%.0f", func(p picked) float64 { return p.p99 }, false},
		}, results)
	}
	return nil
}

func pickOnce(ctx context.Context, s *server, name string, n int) (picked, error) {
	pusher, worker := s.client(nil), s.client(nil)
	defer pusher.Close()
	defer worker.Close()
	from, err1 := newSide(name, pusher)
	to, err2 := newSide(name, worker)
	if err := errors.Join(err1, err2, s.empty(ctx)); err != nil {
		return picked{}, err
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	arrived, ended := make(chan time.Time, 1), make(chan error, 1)
	if err := from.push(ctx, -1, 0); err != nil { // the first makes the line and teaches the scripts
		return picked{}, err
	}
	go func() {
		ended <- to.work(working, "bench", slots, func(context.Context, int) { arrived <- time.Now() })
	}()
	var took []float64
	for i := -1; i < n; i++ {
		start := time.Now()
		if i >= 0 {
			if err := from.push(ctx, i, i+1); err != nil {
				return picked{}, err
			}
		}
		select {
		case at := <-arrived:
			took = append(took, float64(at.Sub(start).Microseconds()))
		case err := <-ended:
			return picked{}, fmt.Errorf("worker ended: %w", errors.Join(err, ctx.Err()))
		}
		// Idle again, and in no step with whoever looks once in a while.
		<-time.After(20*time.Millisecond + rand.N(100*time.Millisecond))
	}
	stop()
	mid, _, _ := spread(took[1:], func(f float64) float64 { return f })
	return picked{mid, quantile(took[1:], 0.99)}, <-ended
}
