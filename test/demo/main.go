// Command demo shows one git push going through Millrace on this machine, and checks each of its ten steps: a bare
// repository behind a Gitea of its own (package giteatest), the daemon as users start it, and real processes. `make
// demo` calls it. It needs go and git, keeps everything in a temporary folder and ends by itself unless somebody sits
// at a terminal, who can open the page then.
package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/millrace-ci/millrace/test/forgekit"
	"github.com/millrace-ci/millrace/test/giteatest"
)

//go:embed all:repository
var repository embed.FS

const (
	owner, name = "mill", "flour"
	secret      = "a secret of the demo"
	token       = "a token of the demo"
	patience    = 2 * time.Minute // for everything after the build
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo(ctx); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func demo(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "millrace-demo-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w\nthe daemon's log is %s", err, filepath.Join(dir, "millrace.log"))
			return
		}
		_ = os.RemoveAll(dir)
	}()
	fmt.Println("Building millrace ...")
	binary := filepath.Join(dir, "millrace")
	if err := build(ctx, binary); err != nil {
		return err
	}
	forge, err := giteatest.Start(giteatest.Config{Dir: filepath.Join(dir, "gitea"), Token: token})
	if err != nil {
		return err
	}
	defer forge.Close()
	d, err := startDaemon(ctx, binary, dir, forge.URL)
	if err != nil {
		return err
	}
	defer d.stop()
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := show(bounded, forge, d); err != nil {
		return err
	}
	if terminal(os.Stdin) && terminal(os.Stdout) {
		fmt.Printf("\nThe page is %s (Ctrl-C ends the demo)\n", d.url)
		<-ctx.Done()
	}
	return nil
}

// show pushes, prints the ten steps as they happen, and checks what came of them.
func show(ctx context.Context, forge *giteatest.Server, d *daemon) error {
	work, commit, err := prepare(ctx, forge)
	if err != nil {
		return err
	}
	defer work.Close()
	forge.AddHook(d.url+"/hooks/gitea", secret)
	fmt.Printf("\nOne push, ten steps\n\n")
	p := &progress{start: time.Now(), events: map[int]event{}}
	p.step(1, p.start, fmt.Sprintf("git push: commit %.8s to main of %s/%s", commit, owner, name))
	pushed := make(chan error, 1)
	go func() { pushed <- work.Push(ctx) }()
	go func() {
		if told(ctx, forge) == nil {
			sent := pushDelivery(forge)
			p.step(2, sent.At, fmt.Sprintf("Gitea sends delivery %s, signed; the answer is %d", sent.UUID, sent.Status))
		}
	}()
	if err := errors.Join(d.follow(ctx, p), <-pushed); err != nil {
		return err
	}
	return check(ctx, forge, d, commit)
}

// prepare makes a repository with the demo's content, which nobody is told of, and a commit on top to be pushed.
func prepare(ctx context.Context, forge *giteatest.Server) (*forgekit.Worktree, string, error) {
	if err := forge.CreateRepo(owner, name); err != nil {
		return nil, "", err
	}
	work, err := forgekit.Clone(ctx, forge.CloneURL(owner, name), "main")
	if err != nil {
		return nil, "", err
	}
	files, err := content()
	if err != nil {
		return nil, "", err
	}
	if _, err := work.Commit(ctx, "Build a mill", files); err != nil {
		return nil, "", err
	}
	if err := work.Push(ctx); err != nil {
		return nil, "", err
	}
	commit, err := work.Commit(ctx, "Grind finer\n\nThe demo's commit.", map[string]string{"src/README": "Stones were dressed.\n"})
	return work, commit, err
}

// told waits until the push was delivered.
func told(ctx context.Context, forge *giteatest.Server) error {
	return forge.Wait(ctx, func() bool { return pushDelivery(forge).UUID != "" })
}

func pushDelivery(forge *giteatest.Server) giteatest.Delivery {
	for _, d := range forge.Deliveries() {
		if d.Event == "push" {
			return d
		}
	}
	return giteatest.Delivery{}
}

// content is the demo's repository.
func content() (map[string]string, error) {
	files := map[string]string{}
	err := fs.WalkDir(repository, "repository", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := repository.ReadFile(path)
		rel, relErr := filepath.Rel("repository", path)
		files[filepath.ToSlash(rel)] = string(data)
		return errors.Join(err, relErr)
	})
	return files, err
}

func build(ctx context.Context, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/millrace-ci/millrace/cmd/millrace")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build millrace: %w", err)
	}
	return nil
}

func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
