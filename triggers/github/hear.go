package github

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	webhook "github.com/go-playground/webhooks/v6/github"

	"github.com/millrace-ci/millrace/triggers"
)

// Verify implements triggers.Source by X-Hub-Signature-256.
func (f *Forge) Verify(h http.Header, claim string, body []byte) (triggers.Scope, error) {
	signature, _ := strings.CutPrefix(h.Get("X-Hub-Signature-256"), "sha256=")
	return f.cfg.Secrets.Verify(claim, triggers.SignedSHA256(body, signature))
}

// Heading implements triggers.Source.
func (f *Forge) Heading(h http.Header) (triggers.Heading, error) {
	if err := triggers.CheckSender(h, f.cfg.Name, "github"); err != nil {
		return triggers.Heading{}, err
	}
	heading := triggers.Heading{Kind: h.Get("X-GitHub-Event"), Key: h.Get("X-GitHub-Delivery"), Hook: h.Get("X-GitHub-Hook-ID")}
	if err := heading.Check("X-GitHub-Event", "X-GitHub-Delivery"); err != nil {
		return triggers.Heading{}, err
	}
	heading.Acts = acts(heading.Kind)
	return heading, nil
}

// acts tells whether Parse can make an event of kind.
func acts(kind string) bool {
	return kind == string(webhook.PushEvent) || kind == string(webhook.PullRequestEvent)
}

// Parse implements triggers.Source.
func (f *Forge) Parse(d triggers.Delivery) (triggers.Event, error) {
	if err := triggers.CheckShape(d.Body); err != nil {
		return triggers.Event{}, err
	}
	payload, err := f.parser.Parse(&http.Request{
		Method: http.MethodPost,
		Header: http.Header{"X-Github-Event": {d.Kind}},
		Body:   io.NopCloser(bytes.NewReader(d.Body)),
	}, webhook.PushEvent, webhook.PullRequestEvent)
	if errors.Is(err, webhook.ErrEventNotFound) {
		return triggers.Event{}, fmt.Errorf("%w: deliveries of kind %q start nothing", triggers.ErrIgnored, d.Kind)
	} else if err != nil {
		return triggers.Event{}, fmt.Errorf("%w: %s: %w", triggers.ErrPayload, d.Kind, err)
	}
	var e triggers.Event
	switch p := payload.(type) {
	case webhook.PushPayload:
		e, err = push(p)
	case webhook.PullRequestPayload:
		e, err = pullRequest(p, d.Body)
	}
	if err != nil {
		return triggers.Event{}, err
	}
	if err := triggers.CheckFlatName(e.Repo.Name); err != nil {
		return triggers.Event{}, fmt.Errorf("%w: %w", triggers.ErrPayload, err)
	}
	return d.Seal(e, doublestar.MatchUnvalidated)
}

// maxCommits is how many commits a push lists at most, by GitHub's 'Webhook events and payloads'. A list of that
// length may have been cut.
const maxCommits = 2048

// push is a push to a branch or tag, or its deletion: 'after' is all zeros then.
func push(p webhook.PushPayload) (triggers.Event, error) {
	r := p.Repository
	e := triggers.Event{
		Ref: p.Ref, Before: p.Before, After: p.After, Forced: p.Forced,
		Message: p.HeadCommit.Message,
		Author:  triggers.Person{Name: p.HeadCommit.Author.Name, Email: p.HeadCommit.Author.Email},
		Sender:  p.Sender.Login, URL: p.Compare, Time: time.Unix(r.PushedAt, 0),
		Repo: triggers.Repository{
			ID: id(r.ID), Name: r.FullName, DefaultBranch: r.DefaultBranch,
			HTTPURL: r.CloneURL, SSHURL: r.SSHURL, WebURL: r.HTMLURL,
		},
	}
	if p.Deleted != triggers.ZeroCommit(p.After) {
		return e, fmt.Errorf("%w: push: 'deleted' and 'after' contradict each other", triggers.ErrPayload)
	}
	if err := e.Refer(); err != nil {
		return e, err
	}
	if e.Kind == triggers.Push && !p.Forced && e.Before != "" && len(p.Commits) < maxCommits {
		e.Files = files(p)
	}
	if e.Kind == triggers.Tag && p.HeadCommit.ID != "" {
		e.After = p.HeadCommit.ID // Of an annotated tag, 'after' is the tag object.
	}
	return e, nil
}

func files(p webhook.PushPayload) *[]string {
	var lists [][]string
	for _, c := range p.Commits {
		lists = append(lists, c.Added, c.Removed, c.Modified)
	}
	return triggers.ChangedFiles(lists...)
}

func pullRequest(p webhook.PullRequestPayload, body []byte) (triggers.Event, error) {
	pr, r := p.PullRequest, p.Repository
	var dropped struct{ Before string } // Theirs has no such field.
	if err := json.Unmarshal(body, &dropped); err != nil {
		return triggers.Event{}, fmt.Errorf("%w: pull_request: %w", triggers.ErrPayload, err)
	}
	if pr.Base.Repo.ID != r.ID {
		return triggers.Event{}, fmt.Errorf("%w: pull_request: its base is in repository %d, its repository is %d", triggers.ErrPayload, pr.Base.Repo.ID, r.ID)
	}
	e := triggers.Event{
		Kind: triggers.PullRequest, Ref: fmt.Sprintf("refs/pull/%d/head", p.Number), Branch: pr.Head.Ref, After: pr.Head.Sha,
		Message: pr.Title, Author: triggers.Person{Name: pr.User.Login}, Sender: p.Sender.Login, URL: pr.HTMLURL, Time: pr.UpdatedAt,
		Repo: triggers.Repository{
			ID: id(r.ID), Name: r.FullName, DefaultBranch: r.DefaultBranch,
			HTTPURL: r.CloneURL, SSHURL: r.SSHURL, WebURL: r.HTMLURL,
		},
		Request: &triggers.Request{
			Number: int(p.Number), Action: p.Action, Status: pr.State, SourceBranch: pr.Head.Ref, TargetBranch: pr.Base.Ref,
			Fork:  pr.Head.Repo.ID != r.ID, // Also when it is null: the fork is gone.
			Draft: pr.Draft,
		},
	}
	if p.Action == "synchronize" {
		e.Before = dropped.Before
	}
	if pr.Merged {
		e.Request.Status = "merged"
	}
	for _, l := range pr.Labels {
		e.Labels = append(e.Labels, l.Name)
	}
	return e, nil
}

// id is a repository's id as the house writes it, "" for none.
func id(n int64) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
