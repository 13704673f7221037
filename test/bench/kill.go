package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// holdCommand is how this program calls itself for the worker that is killed: _hold SIDE SOCKET N.
const holdCommand = "_hold"

// taken is what one round of one side showed.
type taken struct {
	first, last   float64 // seconds from the kill to the taking over of the first and of the last task
	lost, doubled float64 // tasks that nobody took over, and that were taken over twice
}

// kill measures how long tasks are nobody's after their worker was killed: P10.
func kill(ctx context.Context, o options) error {
	for _, fsync := range o.fsync {
		s, err := startServer(ctx, fsync)
		if err != nil {
			return err
		}
		results, err := alternate(o, func(name string) (taken, error) { return killOnce(ctx, s, name, o.n) })
		if err == nil {
			err = about(ctx, s, fmt.Sprintf("Worker killed with %d tasks held, appendfsync %s", o.n, fsync))
		}
		s.stop()
		if err != nil {
			return err
		}
		printTable(o, []column[taken]{
			{"last taken over, s", "%.1f", func(t taken) float64 { return t.last }, true},
			{"first, s", "%.1f", func(t taken) float64 { return t.first }, false},
			{"lost", "%.0f", func(t taken) float64 { return t.lost }, false},
			{"doubled", "%.0f", func(t taken) float64 { return t.doubled }, false},
		}, results)
	}
	return nil
}

// killOnce lets a process take all tasks, kills it, and lets this process take them over.
func killOnce(ctx context.Context, s *server, name string, n int) (taken, error) {
	c := s.client(nil)
	defer c.Close()
	who, err := newSide(name, c)
	if err != nil {
		return taken{}, err
	}
	if err := errors.Join(s.empty(ctx), who.push(ctx, 0, n)); err != nil {
		return taken{}, err
	}
	if err := killHolder(ctx, name, s.socket, n); err != nil {
		return taken{}, err
	}
	start := time.Now()
	working, stop := context.WithTimeout(ctx, 5*time.Minute)
	defer stop()
	var mu sync.Mutex
	times := map[int]int{}
	var first, last time.Time
	err = who.work(working, "heir", n, func(ctx context.Context, task int) {
		mu.Lock()
		if times[task]++; len(times) == 1 && first.IsZero() {
			first = time.Now()
		}
		if times[task] == 1 && len(times) == n {
			last = time.Now()
			time.AfterFunc(2*time.Second, stop) // what is taken over twice shows itself by then
		}
		mu.Unlock()
		<-working.Done() // they are long ones
	})
	t := taken{first: first.Sub(start).Seconds(), last: last.Sub(start).Seconds(), lost: float64(n - len(times))}
	for _, n := range times {
		t.doubled += float64(n - 1)
	}
	return t, errors.Join(err, ctx.Err())
}

// killHolder starts a process, waits until it holds n tasks, and kills it.
func killHolder(ctx context.Context, name, socket string, n int) error {
	holder, err := startSelf(ctx, holdCommand, name, socket, strconv.Itoa(n))
	if err != nil {
		return err
	}
	holder.kill()
	if holder.line != "held" {
		return fmt.Errorf("the holder says %q", holder.line)
	}
	return nil
}

// hold takes tasks and keeps them until it is killed.
func hold(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("want SIDE SOCKET N, not %q", args)
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	who, err := newSide(args[0], redis.NewClient(clientOptions(args[1])))
	if err != nil {
		return err
	}
	var mu sync.Mutex
	held := 0
	return who.work(ctx, "holder", n, func(context.Context, int) {
		mu.Lock()
		if held++; held == n {
			fmt.Println("held")
		}
		mu.Unlock()
		<-ctx.Done()
	})
}
