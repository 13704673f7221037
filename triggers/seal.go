package triggers

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of what an event carries. What is longer is cut, left out or refused, as Seal says.
const (
	maxMessage = 64 << 10 // bytes
	maxWord    = 255      // bytes of a person's name, an account, a label
	maxURL     = 2048     // bytes
	maxLabels  = 100
	maxFiles   = 10_000
	maxPath    = 4096 // bytes
	maxNumber  = 1 << 31
)

// Seal completes the event that a Source read from d: it fills in ID, Delivery, Forge and, where the forge told none,
// Time; cuts texts and lists to their bounds, and leaves out links that are no web addresses. It refuses an event whose
// names or commits are impossible (ErrPayload), or that speaks of a repository beyond d's scope (ErrScope). matches is
// the glob language of scopes. Every Source calls it last.
func (d Delivery) Seal(e Event, matches func(glob, name string) bool) (Event, error) {
	e.ID, e.Delivery, e.Forge = d.ID, d.ID, d.Forge
	if e.Time = e.Time.UTC(); e.Time.Unix() <= 0 || e.Time.Year() > 9999 {
		e.Time = d.At
	}
	e.cut()
	if err := e.check(); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrPayload, err)
	}
	if err := d.Scope.check(e.Repo, matches); err != nil {
		return Event{}, err
	}
	return e, nil
}

// Refer reads Branch, Tag and Kind from the whole ref and the commits of a push, in which the all-zero id means none: it
// is a Push or a Tag, or a Deletion when there is no commit after it. Errors: ErrPayload, and ErrIgnored for a ref that
// is neither branch nor tag.
func (e *Event) Refer() error {
	if e.Branch, e.Tag = SplitRef(e.Ref); e.Branch == "" && e.Tag == "" {
		if strings.HasPrefix(e.Ref, "refs/") {
			return fmt.Errorf("%w: %.80q is neither a branch nor a tag", ErrIgnored, e.Ref)
		}
		return fmt.Errorf("%w: push of ref %.80q", ErrPayload, e.Ref)
	}
	if e.Kind = Push; e.Tag != "" {
		e.Kind = Tag
	}
	if ZeroCommit(e.Before) {
		e.Before = ""
	} else if err := CheckCommit(e.Before); err != nil {
		return fmt.Errorf("%w: before: %w", ErrPayload, err)
	}
	if ZeroCommit(e.After) {
		e.Kind, e.After = Deletion, ""
	}
	return nil
}

func (e *Event) cut() {
	e.Message = cut(e.Message, maxMessage)
	e.Author = Person{Name: cut(e.Author.Name, maxWord), Email: cut(e.Author.Email, maxWord)}
	e.Sender = cut(e.Sender, maxWord)
	e.URL = link(e.URL)
	e.Repo.HTTPURL, e.Repo.WebURL = link(e.Repo.HTTPURL), link(e.Repo.WebURL)
	if len(e.Repo.SSHURL) > maxURL {
		e.Repo.SSHURL = ""
	}
	e.Labels = slices.Clone(e.Labels[:min(len(e.Labels), maxLabels)])
	for i, l := range e.Labels {
		e.Labels[i] = cut(l, maxWord)
	}
}

// check tells what keeps the event from being acted on.
func (e *Event) check() error {
	if e.Repo.ID == "" {
		return fmt.Errorf("no repository id")
	}
	if err := CheckName(e.Repo.Name); err != nil {
		return err
	}
	if e.Kind != Deletion {
		if err := CheckCommit(e.After); err != nil {
			return fmt.Errorf("after: %w", err)
		}
	}
	if e.Before != "" {
		if err := CheckCommit(e.Before); err != nil {
			return fmt.Errorf("before: %w", err)
		}
	}
	names := []string{e.Branch + e.Tag}
	if e.Repo.DefaultBranch != "" {
		names = append(names, e.Repo.DefaultBranch)
	}
	if r := e.Request; r != nil {
		names = append(names, e.Ref, r.SourceBranch, r.TargetBranch)
	}
	for _, name := range names {
		if err := CheckRef(name); err != nil {
			return err
		}
	}
	return e.Request.check()
}

func (r *Request) check() error {
	switch {
	case r == nil:
		return nil
	case r.Number <= 0 || r.Number > maxNumber:
		return fmt.Errorf("request number %d", r.Number)
	case r.Action == "" || len(r.Action) > 64 || strings.Trim(r.Action, "abcdefghijklmnopqrstuvwxyz_") != "":
		return fmt.Errorf("request action %.80q", r.Action)
	case r.Status != "open" && r.Status != "closed" && r.Status != "merged":
		return fmt.Errorf("request state %.80q", r.Status)
	}
	return nil
}

// check tells whether a secret of this scope may speak for r.
func (s Scope) check(r Repository, matches func(glob, name string) bool) error {
	if s.RepositoryID != "" && s.RepositoryID != r.ID {
		return fmt.Errorf("%w: the secret is that of repository %s, the payload speaks of %s (%s)", ErrScope, s.RepositoryID, r.ID, r.Name)
	}
	if len(s.Repositories) > 0 && !slices.ContainsFunc(s.Repositories, func(glob string) bool { return matches(glob, r.Name) }) {
		return fmt.Errorf("%w: the secret is for %s, the payload speaks of %s", ErrScope, strings.Join(s.Repositories, ", "), r.Name)
	}
	return nil
}

// ChangedFiles is the sorted union of lists, the paths that commits touched. It is nil, unknown, when there are no
// lists, when one is nil (the forge left it out), or when they are beyond all bounds.
func ChangedFiles(lists ...[]string) *[]string {
	if len(lists) == 0 {
		return nil
	}
	seen := map[string]bool{}
	for _, list := range lists {
		if list == nil {
			return nil
		}
		for _, path := range list {
			if path == "" || len(path) > maxPath || len(seen) >= maxFiles && !seen[path] {
				return nil
			}
			seen[path] = true
		}
	}
	files := make([]string, 0, len(seen))
	for path := range seen {
		files = append(files, path)
	}
	slices.Sort(files)
	return &files
}

// link is address if it is a web address of bounded length, else "": what a page shows must not run a script.
func link(address string) string {
	u, err := url.Parse(address)
	if err != nil || len(address) > maxURL || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return address
}

// cut is s, at most n bytes of it, without half a character at the end.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
