package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/repo"
)

// fetched is what one round of one side showed: how long one file at a commit took, and by how much the memory of the
// process that fetched it grew at most, NaN for git, of which nobody can say what it would take without doing anything.
type fetched struct{ MS, MiB float64 }

// fetch measures the reading of one file at a commit, from repositories of up to n files: P6.
func fetch(ctx context.Context, o options) error {
	g, err := startGit(ctx)
	if err != nil {
		return err
	}
	defer g.stop()
	for files := 100; files <= o.n; files *= 10 {
		for _, commits := range []int{1, 10_000} {
			if files == 1000 {
				continue
			}
			r, err := g.generate(ctx, fmt.Sprintf("%d-%d.git", files, commits), files, commits)
			if err != nil {
				return err
			}
			if err := fetchFrom(ctx, o, g, r, fmt.Sprintf("%d files, %d commits", files, commits)); err != nil {
				return err
			}
		}
	}
	return nil
}

func fetchFrom(ctx context.Context, o options, g *gitServer, r repository, title string) error {
	results, err := alternate(o, func(name string) (fetched, error) {
		if name == "git" {
			return g.fetchWithGit(ctx, r)
		}
		return fetchInChild(ctx, name, r)
	})
	if err != nil {
		return err
	}
	version, err := g.run(ctx, nil, "--version")
	if err != nil {
		return err
	}
	aboutHere(fmt.Sprintf("One file at a commit: %s", title), version)
	printTable(o, []column[fetched]{
		{"ms", "%.1f", func(f fetched) float64 { return f.MS }, true},
		{"memory it took, MiB", "%.1f", func(f fetched) float64 { return f.MiB }, false},
	}, results)
	return g.fetchTogether(ctx, r)
}

// fetchTogether has ten callers ask for one commit at a time, and says what the server was asked.
func (g *gitServer) fetchTogether(ctx context.Context, r repository) error {
	reader := repo.New(repo.Config{})
	g.slow = make(chan struct{})
	before := g.asked.Load()
	var all sync.WaitGroup
	var errs [10]error
	for i := range errs {
		all.Go(func() {
			_, _, errs[i] = reader.Definitions(ctx, triggers.Access{URL: r.url}, triggers.At{Commit: r.commit})
		})
	}
	<-time.After(100 * time.Millisecond) // All of them are there by then.
	close(g.slow)
	all.Wait()
	g.slow = nil
	fmt.Printf("%d callers at a time: %d requests (a caller alone: the handshake, the commit, the file).\n\n", len(errs), g.asked.Load()-before)
	return errors.Join(errs[:]...)
}

// fetchInChild fetches in a process that did nothing before.
func fetchInChild(ctx context.Context, name string, r repository) (fetched, error) {
	c, err := startSelf(ctx, fetchCommand, name, r.url, r.commit)
	if err != nil {
		return fetched{}, err
	}
	c.kill()
	var f fetched
	return f, json.Unmarshal([]byte(c.line), &f)
}

// fetchWithGit does what a script would do: it fetches into an empty repository, and shows the file, which fetches it.
func (g *gitServer) fetchWithGit(ctx context.Context, r repository) (fetched, error) {
	dir, err := os.MkdirTemp(g.root, "git")
	if err != nil {
		return fetched{}, err
	}
	defer os.RemoveAll(dir)
	if _, err := g.run(ctx, nil, "init", "-q", "--bare", dir); err != nil {
		return fetched{}, err
	}
	if _, err := g.run(ctx, nil, "-C", dir, "remote", "add", "origin", r.url); err != nil {
		return fetched{}, err
	}
	f := fetched{MiB: math.NaN()}
	start := time.Now()
	for _, args := range [][]string{
		{"fetch", "-q", "--depth=1", "--filter=blob:none", "origin", r.commit}, {"cat-file", "blob", r.commit + ":.millrace.yaml"},
	} {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", filepath.Clean(dir)}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		if said, err := cmd.CombinedOutput(); err != nil {
			return f, fmt.Errorf("git %s: %w: %s", args[0], err, said)
		}
	}
	f.MS = float64(time.Since(start).Microseconds()) / 1000
	return f, nil
}
