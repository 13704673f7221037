package gitea

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
	webhook "github.com/go-playground/webhooks/v6/gitea"

	"github.com/millrace-ci/millrace/triggers"
)

// Verify implements triggers.Source by X-Gitea-Signature, or the same HMAC under Forgejo's or GitHub's name.
func (f *Forge) Verify(h http.Header, claim string, body []byte) (triggers.Scope, error) {
	signature := first(h, "X-Gitea-Signature", "X-Forgejo-Signature")
	if signature == "" {
		signature, _ = strings.CutPrefix(h.Get("X-Hub-Signature-256"), "sha256=")
	}
	return f.cfg.Secrets.Verify(claim, triggers.SignedSHA256(body, signature))
}

// Heading implements triggers.Source. Gitea does not say which hook sent a delivery.
func (f *Forge) Heading(h http.Header) (triggers.Heading, error) {
	if err := triggers.CheckSender(h, f.cfg.Name, "gitea"); err != nil {
		return triggers.Heading{}, err
	}
	heading := triggers.Heading{
		Kind: first(h, "X-Gitea-Event", "X-Forgejo-Event"),
		Key:  first(h, "X-Gitea-Delivery", "X-Forgejo-Delivery"),
	}
	if err := heading.Check("X-Gitea-Event", "X-Gitea-Delivery"); err != nil {
		return triggers.Heading{}, err
	}
	switch webhook.Event(heading.Kind) {
	case webhook.PushEvent, webhook.DeleteEvent, webhook.PullRequestEvent:
		heading.Acts = true
	}
	return heading, nil
}

// first is the value of the first of names that h has.
func first(h http.Header, names ...string) string {
	for _, name := range names {
		if v := h.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// Parse implements triggers.Source.
func (f *Forge) Parse(d triggers.Delivery) (triggers.Event, error) {
	if err := triggers.CheckShape(d.Body); err != nil {
		return triggers.Event{}, err
	}
	payload, err := f.parser.Parse(&http.Request{
		Method: http.MethodPost,
		Header: http.Header{"X-Gitea-Event": {d.Kind}},
		Body:   io.NopCloser(bytes.NewReader(d.Body)),
	}, webhook.PushEvent, webhook.DeleteEvent, webhook.PullRequestEvent)
	if errors.Is(err, webhook.ErrEventNotFound) {
		return triggers.Event{}, fmt.Errorf("%w: deliveries of kind %q start nothing", triggers.ErrIgnored, d.Kind)
	} else if err != nil {
		return triggers.Event{}, fmt.Errorf("%w: %s: %w", triggers.ErrPayload, d.Kind, err)
	}
	var e triggers.Event
	switch p := payload.(type) {
	case webhook.PushPayload:
		e, err = push(p, d.Body)
	case webhook.DeletePayload:
		e, err = deletion(p)
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

// push is a push to a branch or tag. Gitea tells no time of it.
func push(p webhook.PushPayload, body []byte) (triggers.Event, error) {
	var dropped struct { // Theirs has no such field.
		Total int `json:"total_commits"`
	}
	if err := json.Unmarshal(body, &dropped); err != nil {
		return triggers.Event{}, fmt.Errorf("%w: push: %w", triggers.ErrPayload, err)
	}
	e := triggers.Event{Ref: p.Ref, Before: p.Before, After: p.After, Sender: login(p.Sender), URL: p.CompareURL, Repo: repository(p.Repo)}
	if err := e.Refer(); err != nil {
		return e, err
	}
	if e.Kind == triggers.Deletion {
		return e, fmt.Errorf("%w: of a deleted ref Gitea sends a delete too", triggers.ErrIgnored)
	}
	if head := p.HeadCommit; head != nil {
		e.Message = head.Message
		if head.Author != nil {
			e.Author = triggers.Person{Name: head.Author.Name, Email: head.Author.Email}
		}
		if e.Kind == triggers.Tag && head.ID != "" {
			e.After = head.ID // Of an annotated tag, 'after' is the tag object.
		}
	}
	if e.Kind == triggers.Push && e.Before != "" && dropped.Total == len(p.Commits) {
		e.Files = files(p.Commits)
	}
	return e, nil
}

// files are the paths that all listed commits touched. Gitea does not say when history was rewritten: what only the
// commits that were thrown away had touched is not among them.
func files(commits []*webhook.PayloadCommit) *[]string {
	var lists [][]string
	for _, c := range commits {
		if c == nil {
			return nil
		}
		lists = append(lists, c.Added, c.Removed, c.Modified)
	}
	return triggers.ChangedFiles(lists...)
}

// deletion is a branch or tag that is gone. Gitea names it without refs/ and tells no commit.
func deletion(p webhook.DeletePayload) (triggers.Event, error) {
	if p.PusherType == "" { // The header is not signed, and a create differs from a delete only in this.
		return triggers.Event{}, fmt.Errorf("%w: delete: no pusher_type", triggers.ErrPayload)
	}
	e := triggers.Event{Kind: triggers.Deletion, Sender: login(p.Sender), Repo: repository(p.Repo)}
	switch p.RefType {
	case "branch":
		e.Branch, e.Ref = p.Ref, "refs/heads/"+p.Ref
	case "tag":
		e.Tag, e.Ref = p.Ref, "refs/tags/"+p.Ref
	default:
		return e, fmt.Errorf("%w: delete: ref_type %.80q, want branch or tag", triggers.ErrPayload, p.RefType)
	}
	return e, nil
}

// actions are Gitea's words that differ from GitHub's, which are ours.
var actions = map[webhook.HookIssueAction]string{
	"synchronized":  "synchronize",
	"label_updated": "labeled",
	"label_cleared": "unlabeled",
}

func pullRequest(p webhook.PullRequestPayload, body []byte) (triggers.Event, error) {
	pr := p.PullRequest
	if pr == nil || pr.Base == nil || pr.Base.Repository == nil || pr.Head == nil || p.Repository == nil {
		return triggers.Event{}, fmt.Errorf("%w: pull_request: no request, base, head or repository", triggers.ErrPayload)
	}
	var dropped struct { // Theirs has no such field; Gitea before 1.23 has none either.
		PullRequest struct{ Draft bool } `json:"pull_request"`
	}
	if err := json.Unmarshal(body, &dropped); err != nil {
		return triggers.Event{}, fmt.Errorf("%w: pull_request: %w", triggers.ErrPayload, err)
	}
	if pr.Base.Repository.ID != p.Repository.ID {
		return triggers.Event{}, fmt.Errorf("%w: pull_request: its base is in repository %d, its repository is %d",
			triggers.ErrPayload, pr.Base.Repository.ID, p.Repository.ID)
	}
	e := triggers.Event{
		Kind: triggers.PullRequest, Ref: fmt.Sprintf("refs/pull/%d/head", p.Index), Branch: pr.Head.Ref, After: pr.Head.Sha,
		Message: pr.Title, Author: triggers.Person{Name: login(pr.Poster)}, Sender: login(p.Sender), URL: pr.HTMLURL, Time: at(pr.Updated),
		Repo: repository(p.Repository),
		Request: &triggers.Request{
			Number: int(p.Index), Action: string(p.Action), Status: string(pr.State), SourceBranch: pr.Head.Ref, TargetBranch: pr.Base.Ref,
			Fork:  pr.Head.Repository == nil || pr.Head.Repository.ID != p.Repository.ID, // No repository: the fork is gone.
			Draft: dropped.PullRequest.Draft,
		},
	}
	if word, ok := actions[p.Action]; ok {
		e.Request.Action = word
	}
	if pr.HasMerged {
		e.Request.Status = "merged"
	}
	for _, l := range pr.Labels {
		if l != nil {
			e.Labels = append(e.Labels, l.Name)
		}
	}
	return e, nil
}

// repository is r in the house's words; its ID and Name are "" if it is missing.
func repository(r *webhook.Repository) triggers.Repository {
	if r == nil || r.ID <= 0 {
		return triggers.Repository{}
	}
	return triggers.Repository{
		ID: strconv.FormatInt(r.ID, 10), Name: r.FullName, DefaultBranch: r.DefaultBranch,
		HTTPURL: r.CloneURL, SSHURL: r.SSHURL, WebURL: r.HTMLURL,
	}
}

func login(u *webhook.User) string {
	if u == nil {
		return ""
	}
	return u.UserName
}

func at(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
