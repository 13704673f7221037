package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/store/redisstore"
	"github.com/millrace-ci/millrace/runners"
)

// moveOnce tells facts to runs of so many tasks, as a worker does, and saves what follows.
func (p *place) moveOnce(ctx context.Context, tasks, n int) (moved, error) {
	s := redisstore.New(p.rdb, redisstore.Config{})
	server1, own1, err := cpus(ctx, p.server)
	if err != nil {
		return moved{}, err
	}
	var took []float64
	for len(took) < n {
		some, err := p.life(ctx, s, tasks, n-len(took))
		if err != nil {
			return moved{}, err
		}
		took = append(took, some...)
	}
	server2, own2, err := cpus(ctx, p.server)
	var all float64
	for _, t := range took {
		all += t
	}
	each := func(total time.Duration) float64 { return float64(total.Microseconds()) / float64(n) }
	return moved{rate: float64(n) / (all / 1e6), p50: quantile(took, 0.5), own: each(own2 - own1), server: each(server2 - server1)}, err
}

// life makes a run, and lets its tasks start and end, at most n facts long. The first start and the last end, which move
// the whole run, are not counted: a run has one of each, however many tasks it has.
func (p *place) life(ctx context.Context, s *redisstore.Store, tasks, n int) (took []float64, err error) {
	p.made++
	r := newRun(fmt.Sprintf("made%d-%d", p.made, tasks), tasks, longAgo)
	if r, err = s.Create(ctx, r); err != nil {
		return nil, err
	}
	for i := range tasks - 1 {
		for nth, fact := range []run.Fact{
			run.Started{Task: fmt.Sprint("t", i), Attempt: 1, Worker: "bench", At: r.Plan.CreatedAt},
			run.Created{Task: fmt.Sprint("t", i), Attempt: 1, UID: "uid", At: r.Plan.CreatedAt},
			run.Ended{Task: fmt.Sprint("t", i), Attempt: 1, Result: runners.Result{Class: runners.Succeeded}, At: r.Plan.CreatedAt},
		} {
			start := time.Now()
			if r, _, err = store.Apply(ctx, s, r, fact); err != nil {
				return nil, err
			}
			if i > 0 || nth > 0 {
				took = append(took, float64(time.Since(start).Nanoseconds())/1000)
			}
			if len(took) == n {
				return took, nil
			}
		}
	}
	return took, nil
}

// paged is how long a page of 50 runs takes, in milliseconds.
type paged struct {
	all, cold, repo, both, none float64
}

// listRuns measures a page of the list, a row for each number of stored runs.
func listRuns(ctx context.Context, o options, places map[string]*place) error {
	results, err := alternate(o, func(stored string) (paged, error) { return places[stored].listOnce(ctx) })
	if err != nil {
		return err
	}
	if err := about(ctx, places[o.sides[0]].server, "A page of 50 runs, in ms, by stored runs"); err != nil {
		return err
	}
	printTable(o, []column[paged]{
		{"all, the first page of a process", "%.1f", func(p paged) float64 { return p.cold }, false},
		{"all", "%.1f", func(p paged) float64 { return p.all }, false},
		{"of a repository", "%.1f", func(p paged) float64 { return p.repo }, false},
		{"failed, of a branch", "%.1f", func(p paged) float64 { return p.both }, false},
		{"of two lists that share nothing", "%.1f", func(p paged) float64 { return p.none }, false},
	}, results)
	return nil
}

// listOnce reads pages; its store knows no run before.
func (p *place) listOnce(ctx context.Context) (paged, error) {
	s := redisstore.New(p.rdb, redisstore.Config{})
	cold, err1 := page(ctx, s, store.Filter{}, 1)
	all, err2 := page(ctx, s, store.Filter{}, 9)
	repo, err3 := page(ctx, s, store.Filter{Repo: "shop/r07"}, 9)
	both, err4 := page(ctx, s, store.Filter{Branch: "main", State: run.Failed}, 9)
	none, err5 := page(ctx, s, store.Filter{Branch: "main", Pipeline: "nightly"}, 9)
	return paged{all: all, cold: cold, repo: repo, both: both, none: none}, errors.Join(err1, err2, err3, err4, err5)
}

// page reads a page some times, and returns how long it took in the middle.
func page(ctx context.Context, s *redisstore.Store, f store.Filter, times int) (float64, error) {
	var took []float64
	for range times {
		start := time.Now()
		if _, _, err := s.List(ctx, f, "", 50); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(start).Microseconds())/1000)
	}
	return quantile(took, 0.5), nil
}
