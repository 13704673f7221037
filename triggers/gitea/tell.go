package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers"
)

// Notify implements report.Notifier: it sets the status n.Context of commit n.Commit. Gitea keeps all and
// shows the newest of each context, so telling twice shows the same.
func (f *Forge) Notify(ctx context.Context, n report.Notice) (report.Answer, error) {
	if err := errors.Join(triggers.CheckFlatName(n.Repo), triggers.CheckCommit(n.Commit), f.cfg.NeedToken()); err != nil {
		return report.Answer{}, report.Permanent(fmt.Errorf("set commit status: %w", err))
	}
	// Name and commit were checked to hold nothing that a path would have to escape.
	address := f.web.JoinPath("api/v1/repos", n.Repo, "statuses", n.Commit).String()
	header := http.Header{
		"Authorization": {"token " + string(f.cfg.Token)},
		"Accept":        {"application/json"},
	}
	answer, err := report.SetStatus(ctx, f.client, address, header, n)
	if err != nil {
		return answer, fmt.Errorf("set status %q of %s at %.12s: %w", n.Context, n.Repo, n.Commit, report.Advise(err, advice))
	}
	return answer, nil
}

// advice is what to do about a refusal.
var advice = map[int]string{
	http.StatusForbidden:           "the token may not write commit statuses: give it the scope write:repository, and its owner write access",
	http.StatusNotFound:            "no such repository or commit, or the token may not see it: give its owner access",
	http.StatusUnprocessableEntity: "Gitea does not take this status; is the commit there?",
}
