package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers"
)

// maxText bounds, in characters, a status' description, URL, ref and name, by GitLab's app/models/commit_status.rb.
const maxText = 255

// statusWords are the states in GitLab's words.
var statusWords = map[report.State]string{
	report.Pending:     "pending",
	report.Running:     "running",
	report.Succeeded:   "success",
	report.Failed:      "failed",
	report.Broken:      "failed",
	report.Canceled:    "canceled",
	report.NotAffected: "success",
	report.Skipped:     "success",
	report.Ignored:     "success",
}

// commitStatus is what POST /projects/:id/statuses/:sha takes.
type commitStatus struct {
	State       string `json:"state"`
	Name        string `json:"name"`
	Ref         string `json:"ref,omitempty"`
	PipelineID  int64  `json:"pipeline_id,omitempty"`
	TargetURL   string `json:"target_url,omitempty"`
	Description string `json:"description"`
}

// Notify implements report.Notifier: it sets the status n.Context of commit n.Commit on n.Ref, as an external job of the
// pipeline that GitLab has there, or of an external one that it makes. Telling twice shows the same: GitLab refuses a
// state that a job has already, and that is no error here; a final one is set again as a retry of the job. Where n names
// several refs the status is set on each: GitLab shows a commit's state by ref.
func (f *Forge) Notify(ctx context.Context, n report.Notice) (answer report.Answer, err error) {
	word, ok := statusWords[n.State]
	if !ok {
		return report.Answer{}, report.Permanent(fmt.Errorf("set commit status: no word for state %q", n.State))
	}
	if err := errors.Join(triggers.CheckName(n.Repo), triggers.CheckCommit(n.Commit), f.cfg.NeedToken()); err != nil {
		return report.Answer{}, report.Permanent(fmt.Errorf("set commit status: %w", err))
	}
	refs := n.Refs
	if len(refs) == 0 {
		refs = []string{n.Ref}
	}
	for _, n.Ref = range refs {
		if answer, err = f.setStatus(ctx, n, word); err != nil {
			return answer, fmt.Errorf("set status %q of %s at %.12s: %w", n.Context, n.Repo, n.Commit, err)
		}
	}
	return answer, nil
}

func (f *Forge) setStatus(ctx context.Context, n report.Notice, word string) (report.Answer, error) {
	s := commitStatus{State: word, Name: n.Context, Description: report.Cut(n.Text, maxText)}
	if len(n.URL) <= maxText {
		s.TargetURL = n.URL // A status without a link is better than none.
	}
	err := f.place(ctx, n, &s)
	answer := report.AnswerOf(err)
	if err == nil {
		answer, err = report.Post(ctx, f.client, f.project(n.Repo).JoinPath("statuses", n.Commit).String(), f.header(), s)
	}
	if err = again(err); err == nil || already(word, err) {
		return answer, nil
	}
	return answer, report.Advise(err, advice)
}

// project is the API's address of the project called name, which is one escaped segment of it.
func (f *Forge) project(name string) *url.URL {
	return f.web.JoinPath("api/v4/projects", url.PathEscape(name))
}

func (f *Forge) header() http.Header {
	return http.Header{"Authorization": {"Bearer " + string(f.cfg.Token)}, "Accept": {"application/json"}}
}

// again makes a conflict worth another try: two told at once about one commit, and GitLab lets only one in.
func again(err error) error {
	if r := report.Refused(err); r != nil && r.Status == http.StatusConflict {
		return fmt.Errorf("another status of this commit is being set: %w", r)
	}
	return err
}

// refusedMove is what GitLab answers to a state that a job does not go to from the one that it has.
var refusedMove = regexp.MustCompile(`Cannot transition status via :\w+ from :(\w+)`)

// already tells whether a refusal means that the job is where word wants it, or beyond: a job that runs does not go
// back to wait. Final states are no case: a job that has one is left alone, and a new one begins.
func already(word string, err error) bool {
	r := report.Refused(err)
	if r == nil || r.Status != http.StatusBadRequest {
		return false
	}
	from := refusedMove.FindStringSubmatch(r.Reason)
	return len(from) == 2 && (from[1] == word || word == "pending" && from[1] == "running")
}

// advice is what to do about a refusal.
var advice = map[int]string{
	http.StatusForbidden:           "the token may not set commit statuses: give it the scope api, and the role Developer, or Maintainer where the branch is protected",
	http.StatusNotFound:            "no such project or commit, or the token may not see it: give it the scope api and access to the project",
	http.StatusUnprocessableEntity: "the pipeline has all the jobs that GitLab allows",
}
