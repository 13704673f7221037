package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers"
)

// apiVersion is the version of the REST API that we speak.
const apiVersion = "2022-11-28"

// Notify implements report.Notifier: it sets the status n.Context of commit n.Commit. Telling twice shows the same;
// GitHub keeps both, at most 1,000 for a commit and context.
func (f *Forge) Notify(ctx context.Context, n report.Notice) error {
	if err := errors.Join(checkName(n.Repo), triggers.CheckCommit(n.Commit)); err != nil {
		return report.Permanent(fmt.Errorf("set commit status: %w", err))
	}
	if f.token == "" {
		return report.Permanent(fmt.Errorf("set commit status: forge %s has no token: set its token or token_file", f.name))
	}
	// Name and commit were checked to hold nothing that a path would have to escape.
	address := f.api.JoinPath("repos", n.Repo, "statuses", n.Commit).String()
	header := http.Header{
		"Authorization":        {"Bearer " + string(f.token)},
		"Accept":               {"application/vnd.github+json"},
		"X-Github-Api-Version": {apiVersion},
	}
	if err := report.SetStatus(ctx, f.client, address, header, n); err != nil {
		return fmt.Errorf("set status %q of %s at %.12s: %w%s", n.Context, n.Repo, n.Commit, err, advice(err))
	}
	return nil
}

// advice is what to do about a refusal.
func advice(err error) string {
	r := report.Refused(err)
	if r == nil {
		return ""
	}
	switch r.Status {
	case http.StatusUnauthorized:
		return "; the token is wrong, expired or revoked: make a new one"
	case http.StatusForbidden:
		return "; the token may not write commit statuses: give it 'Commit statuses: write' (fine-grained) or the scope repo:status"
	case http.StatusNotFound:
		return "; no such repository, or the token may not see it: give it access, with 'Commit statuses: write'"
	case http.StatusUnprocessableEntity:
		return "; the commit is not there any more, or it has 1,000 statuses of this context, which is all that GitHub takes"
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return "; the repository or the API has moved: check the forge's url"
	}
	return ""
}
