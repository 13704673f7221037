package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/repo"
)

// fetchCommand is how this program calls itself for who fetches: _fetch SIDE URL COMMIT.
const fetchCommand = "_fetch"

// fetchOnce fetches one file, and says as JSON what that took.
func fetchOnce(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("want SIDE URL COMMIT, not %q", args)
	}
	read := readWithGoGit
	if args[0] == "ours" {
		read = readWithOurs
	}
	runtime.GC()
	before, err := usageOf(os.Getpid())
	if err != nil {
		return err
	}
	start := time.Now()
	if err := read(ctx, args[1], args[2]); err != nil {
		return err
	}
	took := time.Since(start)
	after, err := usageOf(os.Getpid())
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(fetched{MS: float64(took.Microseconds()) / 1000, MiB: after.peak - before.rss})
}

func readWithOurs(ctx context.Context, url, commit string) error {
	files, _, err := repo.New(repo.Config{}).Definitions(ctx, triggers.Access{URL: url}, triggers.At{Commit: commit})
	if err == nil && len(files) != 1 {
		err = fmt.Errorf("got %d files", len(files))
	}
	return err
}

// readWithGoGit fetches the commit alone into memory, with all its files: go-git has no filters above its transport.
func readWithGoGit(ctx context.Context, url, commit string) error {
	r, err := git.Init(memory.NewStorage(), nil)
	if err != nil {
		return err
	}
	remote, err := r.CreateRemote(&config.RemoteConfig{Name: "origin", URLs: []string{url}})
	if err != nil {
		return err
	}
	err = remote.FetchContext(ctx, &git.FetchOptions{Depth: 1, Tags: git.NoTags, RefSpecs: []config.RefSpec{config.RefSpec(commit + ":refs/heads/main")}})
	if err != nil {
		return err
	}
	c, err := r.CommitObject(plumbing.NewHash(commit))
	if err != nil {
		return err
	}
	f, err := c.File(".millrace.yaml")
	if err != nil {
		return err
	}
	_, err = f.Contents()
	return err
}
