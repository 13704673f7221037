package gitlab

import (
	"cmp"
	"fmt"
	"strconv"

	webhook "github.com/go-playground/webhooks/v6/gitlab"

	"github.com/millrace-ci/millrace/triggers"
)

// push is a push to a branch or tag, or its deletion: 'after' is all zeros then, and nothing to check out. GitLab tells
// no time of it.
func push(kind string, p webhook.PushEventPayload) (triggers.Event, error) {
	e := triggers.Event{
		Ref: p.Ref, Before: p.Before, After: p.After, Sender: cmp.Or(p.UserUsername, p.UserName), Repo: repository(p.Project),
	}
	e.Repo.ID = id(p.ProjectID) // Also of old system hooks, the project of which has none.
	if err := e.Refer(); err != nil {
		return e, err
	}
	if err := consistent(kind, p, e); err != nil {
		return e, err
	}
	if e.Kind == triggers.Deletion {
		return e, nil
	}
	e.After = p.CheckoutSHA // Of an annotated tag, 'after' is the tag object.
	e.URL = p.Project.WebURL + "/-/commit/" + e.After
	for _, c := range p.Commits {
		if c.ID == e.After {
			e.Message, e.Author = c.Message, triggers.Person{Name: c.Author.Name, Email: c.Author.Email}
		}
	}
	if e.Kind == triggers.Push && e.Before != "" {
		e.URL = p.Project.WebURL + "/-/compare/" + e.Before + "..." + e.After
		if p.TotalCommitsCount == int64(len(p.Commits)) {
			e.Files = files(p.Commits)
		}
	}
	return e, nil
}

// consistent tells whether what a push says twice is the same both times.
func consistent(kind string, p webhook.PushEventPayload, e triggers.Event) error {
	tag, gone := e.Tag != "", e.Kind == triggers.Deletion
	switch {
	case p.Project.ID != 0 && p.Project.ID != p.ProjectID:
		return fmt.Errorf("%w: project_id is %d, its project's id %d", triggers.ErrPayload, p.ProjectID, p.Project.ID)
	case tag != (kind == "tag_push"):
		return fmt.Errorf("%w: its ref is %.80q", triggers.ErrPayload, p.Ref)
	case gone && p.CheckoutSHA != "", !gone && !tag && p.CheckoutSHA != p.After:
		return fmt.Errorf("%w: 'after' and 'checkout_sha' contradict each other", triggers.ErrPayload)
	case !gone && p.CheckoutSHA == "":
		return fmt.Errorf("%w: the tag %.80q is of no commit", triggers.ErrIgnored, e.Tag)
	}
	return nil
}

// files are the paths that all listed commits touched. GitLab lists the newest 20, and does not say when history was
// rewritten: what only the commits that were thrown away had touched is not among them.
func files(commits []webhook.Commit) *[]string {
	var lists [][]string
	for _, c := range commits {
		lists = append(lists, c.Added, c.Removed, c.Modified)
	}
	return triggers.ChangedFiles(lists...)
}

// repository is p in the house's words; what is missing is "".
func repository(p webhook.Project) triggers.Repository {
	return triggers.Repository{
		ID: id(p.ID), Name: p.PathWithNamespace, DefaultBranch: p.DefaultBranch,
		HTTPURL: p.GitHTTPURL, SSHURL: p.GitSSHURL, WebURL: p.WebURL,
	}
}

// id is a project's id as the house writes it, "" for none.
func id(n int64) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
