package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-ci/millrace/triggers"
)

// eventFlags say which event explain and exec speak of: a payload as a forge sends it, or a push of what is here.
type eventFlags struct {
	dir     string
	file    string
	forge   string
	headers []string
}

func (f *eventFlags) add(c *cobra.Command) {
	c.Flags().StringVarP(&f.dir, "dir", "C", ".", "the working tree")
	c.Flags().StringVar(&f.file, "event", "", "file with the payload of a webhook, as the forge sends it")
	c.Flags().StringVar(&f.forge, "forge", "", "kind of forge that the payload is of: github or gitea")
	c.Flags().StringArrayVar(&f.headers, "header", nil, "header of the webhook, like 'X-GitHub-Event: push'")
}

// event reads the payload, or makes a push of the working tree's HEAD.
func (f *eventFlags) event(ctx context.Context) (triggers.Event, error) {
	if f.file == "" {
		if f.forge != "" || len(f.headers) > 0 {
			return triggers.Event{}, usage(errors.New("--forge and --header say what --event FILE is: give that too"))
		}
		return headEvent(ctx, f.dir), nil
	}
	body, err := os.ReadFile(f.file)
	if err != nil {
		return triggers.Event{}, usage(err)
	}
	build, ok := forgeKinds[f.forge]
	if !ok {
		return triggers.Event{}, usage(fmt.Errorf("--forge %q: say github or gitea", f.forge))
	}
	source, err := build(ForgeConfig{Name: f.forge, URL: "http://localhost"})
	if err != nil {
		return triggers.Event{}, err
	}
	header, err := f.header()
	if err != nil {
		return triggers.Event{}, usage(err)
	}
	heading, err := source.Heading(header)
	if err != nil {
		return triggers.Event{}, usage(fmt.Errorf("--header: %w", err))
	}
	d := triggers.Delivery{
		ID: triggers.DeliveryID(f.forge, heading.Key), Forge: f.forge, Key: heading.Key, Kind: heading.Kind,
		Header: header, Body: body, At: time.Now().UTC(),
	}
	e, err := source.Parse(d)
	if err != nil {
		return triggers.Event{}, exitError{exitFailed, fmt.Errorf("%s: %w", f.file, err)}
	}
	return e, nil
}

// header is the given headers, and those that every delivery has and nobody wants to type.
func (f *eventFlags) header() (http.Header, error) {
	h := http.Header{}
	for _, line := range f.headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("--header %q: write NAME: VALUE", line)
		}
		h.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	defaults := map[string]string{"X-Github-Delivery": "local"}
	if f.forge == "gitea" {
		defaults = map[string]string{"X-Gitea-Delivery": "local", "X-Gitea-Event": h.Get("X-GitHub-Event")}
	}
	for name, value := range defaults {
		if h.Get(name) == "" && value != "" {
			h.Set(name, value)
		}
	}
	return h, nil
}

// headEvent is a push of the working tree's HEAD to its branch. Where there is no git, it is a push to main.
func headEvent(ctx context.Context, dir string) triggers.Event {
	git := func(args ...string) string {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...).Output()
		if err != nil {
			return "" // not a repository, or nothing committed: the event says less then
		}
		return strings.TrimSpace(string(out))
	}
	branch := git("symbolic-ref", "--short", "-q", "HEAD")
	if branch == "" {
		branch = "main"
	}
	return triggers.Event{
		ID: "local", Kind: triggers.Push, Ref: "refs/heads/" + branch, Branch: branch, After: git("rev-parse", "-q", "--verify", "HEAD"),
		Message: git("log", "-1", "--format=%B"), Author: triggers.Person{Name: git("log", "-1", "--format=%an"), Email: git("log", "-1", "--format=%ae")},
		Repo: triggers.Repository{Name: "local"}, Time: time.Now().UTC(),
	}
}
