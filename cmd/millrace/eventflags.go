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

	"github.com/millrace-ci/millrace/cmd/millrace/config"
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
	c.Flags().StringVarP(&f.dir, "dir", "C", ".", "`DIR` of the working tree")
	c.Flags().StringVar(&f.file, "event", "", "`FILE` with a webhook's payload, as a forge sends it")
	c.Flags().StringVar(&f.forge, "forge", "", "`KIND` of forge that sends it: "+kindsOfForge())
	c.Flags().StringArrayVar(&f.headers, "header", nil, "`HEADER` of the webhook, like 'X-GitHub-Event: push'")
}

// event reads the payload, or makes a push of the working tree's HEAD.
func (f *eventFlags) event(ctx context.Context) (triggers.Event, error) {
	if f.file == "" {
		if f.forge != "" || len(f.headers) > 0 {
			return triggers.Event{}, usage(errors.New("--forge and --header say what --event FILE is: give that too"))
		}
		return headEvent(ctx, f.dir), nil
	}
	build, ok := forgeKinds[f.forge]
	if !ok {
		return triggers.Event{}, usage(fmt.Errorf("--forge %q: say which kind of forge sent --event: %s", f.forge, kindsOfForge()))
	}
	source, err := build(config.Forge{Name: f.forge, URL: "http://localhost"})
	if err != nil {
		return triggers.Event{}, err
	}
	d, err := f.delivery(source)
	if err != nil {
		return triggers.Event{}, usage(err)
	}
	e, err := source.Parse(d)
	switch {
	case errors.Is(err, triggers.ErrIgnored):
		return triggers.Event{}, exitError{exitNothing, fmt.Errorf("%s: %w", f.file, err)}
	case err != nil:
		return triggers.Event{}, usage(fmt.Errorf("%s: %w", f.file, err))
	}
	return e, nil
}

// delivery is what the forge would have sent.
func (f *eventFlags) delivery(source triggers.Source) (triggers.Delivery, error) {
	body, err := os.ReadFile(f.file)
	if err != nil {
		return triggers.Delivery{}, fmt.Errorf("--event: %w", err)
	}
	header, err := f.header()
	if err != nil {
		return triggers.Delivery{}, err
	}
	heading, err := source.Heading(header)
	if err != nil {
		return triggers.Delivery{}, fmt.Errorf("say what the payload is, like --header 'X-GitHub-Event: push': %w", err)
	}
	return triggers.Delivery{
		ID: triggers.DeliveryID(f.forge, heading.Key), Forge: f.forge, Key: heading.Key, Kind: heading.Kind,
		Header: header, Body: body, At: time.Now().UTC(),
	}, nil
}

// header is the given headers, and the delivery's id, which every delivery has and nobody wants to type.
func (f *eventFlags) header() (http.Header, error) {
	h := http.Header{"X-Github-Delivery": {"local"}, "X-Gitea-Delivery": {"local"}}
	for _, line := range f.headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("--header %q: write 'NAME: VALUE'", line)
		}
		h.Set(strings.TrimSpace(name), strings.TrimSpace(value))
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
		ID: "local", Kind: triggers.Push, Ref: "refs/heads/" + branch, Branch: branch,
		Before: git("rev-parse", "-q", "--verify", "HEAD~1"), After: git("rev-parse", "-q", "--verify", "HEAD"),
		Message: git("log", "-1", "--format=%B"), Author: triggers.Person{Name: git("log", "-1", "--format=%an"), Email: git("log", "-1", "--format=%ae")},
		Repo: triggers.Repository{Name: "local"}, Time: time.Now().UTC(),
	}
}
