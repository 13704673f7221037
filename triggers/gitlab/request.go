package gitlab

import (
	"encoding/json"
	"fmt"
	"slices"

	webhook "github.com/go-playground/webhooks/v6/gitlab"

	"github.com/millrace-ci/millrace/triggers"
)

// mergeRequest is what happened to a merge request. GitLab names who opened it by number only, unless it was the sender.
func mergeRequest(p webhook.MergeRequestEventPayload, body []byte) (triggers.Event, error) {
	mr := p.ObjectAttributes
	var dropped struct { // Theirs has no such field. It is there when the request has other commits than before.
		ObjectAttributes struct {
			OldRev string `json:"oldrev"`
		} `json:"object_attributes"`
	}
	if err := json.Unmarshal(body, &dropped); err != nil {
		return triggers.Event{}, fmt.Errorf("%w: %w", triggers.ErrPayload, err)
	}
	if mr.TargetProjectID != p.Project.ID {
		return triggers.Event{}, fmt.Errorf("%w: its target is project %d, its project is %d", triggers.ErrPayload, mr.TargetProjectID, p.Project.ID)
	}
	e := triggers.Event{
		Kind: triggers.PullRequest, Ref: fmt.Sprintf("refs/merge-requests/%d/head", mr.IID), Branch: mr.SourceBranch, After: mr.LastCommit.ID,
		Message: mr.Title, Sender: p.User.UserName, URL: mr.URL, Time: mr.UpdatedAt.Time, Repo: repository(p.Project),
		Request: &triggers.Request{
			Number: int(mr.IID), Action: action(p, dropped.ObjectAttributes.OldRev), Status: status(mr.State),
			SourceBranch: mr.SourceBranch, TargetBranch: mr.TargetBranch,
			Fork:  mr.SourceProjectID != mr.TargetProjectID, // Also when it is null: the fork is gone.
			Draft: mr.Draft || mr.WorkInProgress,            // GitLab before 14.8 has only the latter.
		},
	}
	if mr.AuthorID == p.User.ID {
		e.Author.Name = p.User.UserName
	}
	if e.Request.Action == "synchronize" {
		e.Before = dropped.ObjectAttributes.OldRev
	}
	for _, l := range p.Labels {
		e.Labels = append(e.Labels, l.Title)
	}
	return e, nil
}

// action is what was done, in GitHub's words, which are ours: GitLab calls most of it 'update' and lists what changed.
func action(p webhook.MergeRequestEventPayload, oldrev string) string {
	labels, draft := p.Changes.LabelChanges, p.Changes.DraftChanges
	switch word := p.ObjectAttributes.Action; word {
	case "open":
		return "opened"
	case "reopen":
		return "reopened"
	case "close", "merge":
		return "closed"
	case "update":
	default:
		return word
	}
	switch {
	case oldrev != "":
		return "synchronize"
	case slices.ContainsFunc(labels.Current, func(l webhook.Label) bool {
		return !slices.ContainsFunc(labels.Previous, func(old webhook.Label) bool { return old.ID == l.ID })
	}):
		return "labeled"
	case len(labels.Previous) > len(labels.Current):
		return "unlabeled"
	case draft.Previous && !draft.Current:
		return "ready_for_review"
	case draft.Current && !draft.Previous:
		return "converted_to_draft"
	}
	return "edited"
}

// status is a request's state in the house's words. A locked one is about to be merged.
func status(state string) string {
	if state == "opened" || state == "locked" {
		return "open"
	}
	return state
}
