package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store/redisstore"
)

// runTasks is how many tasks the runs have that are moved. How many runs are stored, the sides say.
var runTasks = []int{10, 100, 500}

// moved is what one round showed of transitions.
type moved struct {
	rate        float64 // transitions a second of one worker
	p50         float64 // µs
	own, server float64 // CPU time of who decides, and of Redis, for a transition, in µs
}

// state measures what it costs to move a run, and to list runs, however many are stored: P11.
func state(ctx context.Context, o options) error {
	for _, fsync := range o.fsync {
		places := map[string]*place{}
		err := fillPlaces(ctx, o, places, fsync)
		if err == nil {
			err = errors.Join(moveRuns(ctx, o, places), listRuns(ctx, o, places))
		}
		for _, p := range places {
			_ = p.rdb.Close()
			p.server.stop()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// place is a server with a number of runs.
type place struct {
	server *server
	rdb    *redis.Client
	made   int // runs that were made for measuring
}

func fillPlaces(ctx context.Context, o options, places map[string]*place, fsync string) error {
	for _, stored := range o.sides {
		n, err := strconv.Atoi(stored)
		if err != nil {
			return err
		}
		s, err := startServer(ctx, fsync)
		if err != nil {
			return err
		}
		p := &place{server: s, rdb: s.client(nil)}
		places[stored] = p
		if err := s.hurry(ctx, fsync, func() error { return fillRuns(ctx, redisstore.New(p.rdb, redisstore.Config{}), n) }); err != nil {
			return err
		}
	}
	return nil
}

// fillRuns stores n runs that have ended, of 100 repositories and two branches.
func fillRuns(ctx context.Context, s *redisstore.Store, n int) error {
	var all errgroup.Group
	all.SetLimit(32)
	for i := range n {
		all.Go(func() error {
			r := newRun(fmt.Sprintf("stored%07d", i), 10, longAgo.Add(time.Duration(i)*time.Second))
			r.Plan.Event.Repo.Name, r.Plan.Event.After = fmt.Sprintf("shop/r%02d", i%100), fmt.Sprintf("%07x0123456789abcdef", i)
			if i%2 == 1 {
				r.Plan.Event.Branch, r.Plan.Pipeline = "dev", "nightly"
			}
			r.State = run.Succeeded
			if i%10 == 0 {
				r.State = run.Failed
			}
			r.Told = []run.Told{{To: run.StatusListener, State: string(r.State)}}
			for t := range r.Tasks {
				r.Tasks[t].State, r.Tasks[t].EndedAt = r.State, r.Plan.CreatedAt
			}
			_, err := s.Create(ctx, r)
			return err
		})
	}
	return all.Wait()
}

// longAgo is when the first of the stored runs was made.
var longAgo = time.UnixMilli(1e12).UTC()

// newRun is a run of tasks that stand side by side, of a runner that is nowhere.
func newRun(id string, tasks int, at time.Time) run.Run {
	stage := run.StagePlan{Parallel: true}
	for i := range tasks {
		stage.Tasks = append(stage.Tasks, run.TaskPlan{Name: fmt.Sprint("t", i), Line: "elsewhere"})
	}
	plan := &run.Snapshot{ID: id, Pipeline: "release", Stages: []run.StagePlan{stage}, CreatedAt: at}
	plan.Event.Repo.Name, plan.Event.Branch, plan.Event.After = "shop/api", "main", "0123456789abcdef"
	r, _ := run.New(plan)
	return r
}

// moveRuns measures transitions, a row for each number of stored runs and of tasks.
func moveRuns(ctx context.Context, o options, places map[string]*place) error {
	type row struct {
		at    *place
		tasks int
	}
	rows, names := map[string]row{}, []string{}
	for _, stored := range o.sides {
		for _, tasks := range runTasks {
			name := fmt.Sprintf("%s stored, %d tasks", stored, tasks)
			rows[name], names = row{places[stored], tasks}, append(names, name)
		}
	}
	first := places[o.sides[0]].server
	o.sides, o.base = names, names[0]
	results, err := alternate(o, func(name string) (moved, error) { return rows[name].at.moveOnce(ctx, rows[name].tasks, o.n) })
	if err != nil {
		return err
	}
	if err := about(ctx, first, fmt.Sprintf("Transitions of a run: %d, one after the other", o.n)); err != nil {
		return err
	}
	printTable(o, []column[moved]{
		{"transitions/s", "%.0f", func(m moved) float64 { return m.rate }, true},
		{"p50 µs", "%.0f", func(m moved) float64 { return m.p50 }, false},
		{"CPU µs", "%.1f", func(m moved) float64 { return m.own }, false},
		{"Redis's CPU µs", "%.1f", func(m moved) float64 { return m.server }, false},
	}, results)
	return nil
}
