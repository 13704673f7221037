package redisstore_test

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/store/redisstore"
	"github.com/millrace-ci/millrace/internal/redistest"
)

// fill returns a store of n settled runs of 10 tasks, of 100 repositories; the oldest of them failed. Every second is
// of another branch and pipeline.
func fill(b *testing.B, n int) *redisstore.Store {
	b.Helper()
	rdb := redistest.Start(b).Client()
	s := redisstore.New(rdb, redisstore.Config{})
	var all errgroup.Group
	all.SetLimit(8)
	for i := range n {
		all.Go(func() error {
			r := newRun(fmt.Sprintf("stored%07d", i), 10)
			r.Plan.CreatedAt = r.Plan.CreatedAt.Add(time.Duration(i) * time.Second)
			r.Plan.Event.Repo.Name = fmt.Sprintf("shop/r%02d", i%100)
			r.Plan.Event.After = fmt.Sprintf("%07x0123456789abcdef", i)
			if i%2 == 1 {
				r.Plan.Event.Branch, r.Plan.Pipeline = "dev", "nightly"
			}
			state := run.Succeeded
			if i < 50 {
				state = run.Failed
			}
			r.State, r.Told = state, []run.Told{{To: run.StatusListener, State: string(state)}}
			for t := range r.Tasks {
				r.Tasks[t].State, r.Tasks[t].EndedAt = state, r.Plan.CreatedAt
			}
			_, err := s.Create(b.Context(), r)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkTransition tells facts to one run and saves what follows, as a worker does (P11).
func BenchmarkTransition(b *testing.B) {
	for _, stored := range []int{1, 10_000} {
		s := fill(b, stored)
		for _, tasks := range []int{10, 500} {
			b.Run(fmt.Sprintf("stored=%d/tasks=%d", stored, tasks), func(b *testing.B) {
				r := newRun(fmt.Sprintf("run%d-%d", tasks, b.N), tasks)
				create(b, s, r)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					fact := run.Started{Task: fmt.Sprint("t", i%tasks), Attempt: 1, Worker: fmt.Sprint("w", i), At: r.Plan.CreatedAt}
					next, _, err := store.Apply(b.Context(), s, r, fact)
					if err != nil {
						b.Fatal(err)
					}
					r = next
				}
			})
		}
	}
}

// BenchmarkSave is the store's own part of it.
func BenchmarkSave(b *testing.B) {
	s := redisstore.New(redistest.Start(b).Client(), redisstore.Config{})
	for _, tasks := range []int{10, 500} {
		b.Run(fmt.Sprintf("tasks=%d", tasks), func(b *testing.B) {
			r := newRun(fmt.Sprintf("run%d-%d", tasks, b.N), tasks)
			create(b, s, r)
			next := started(b, r)
			b.ReportAllocs()
			for b.Loop() {
				saved, _, err := s.Save(b.Context(), r, next)
				if err != nil {
					b.Fatal(err)
				}
				r.Version = saved.Version
			}
		})
	}
}

// BenchmarkLoad loads a run whose snapshot is known.
func BenchmarkLoad(b *testing.B) {
	s := redisstore.New(redistest.Start(b).Client(), redisstore.Config{})
	for _, tasks := range []int{10, 500} {
		b.Run(fmt.Sprintf("tasks=%d", tasks), func(b *testing.B) {
			r := newRun(fmt.Sprintf("run%d-%d", tasks, b.N), tasks)
			create(b, s, r)
			for b.Loop() {
				if _, err := s.Load(b.Context(), r.Plan.ID); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkList reads a page of 50 of 100,000 runs (P11). The dearest filter is one of two long lists that have nothing
// in common.
func BenchmarkList(b *testing.B) {
	s := fill(b, 100_000)
	for name, f := range map[string]store.Filter{
		"all":         {},
		"repo":        {Repo: "shop/r07"},
		"state":       {State: run.Failed},
		"repo+branch": {Repo: "shop/r07", Branch: "dev"},
		"commit":      {Commit: "0000007"},
		"dearest":     {Branch: "main", Pipeline: "nightly"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := s.List(b.Context(), f, "", 50); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
