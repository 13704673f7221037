package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers"
)

// apiVersion is the version of the REST API that we speak.
const apiVersion = "2022-11-28"

// spareAfter is how many statuses of one commit and context are set whatever they say. GitHub takes 1,000, by 'Create a
// commit status' of its REST API; the rest is left for how runs end.
const spareAfter = 900

// Notify implements report.Notifier: it sets the status n.Context of commit n.Commit. Telling twice shows the same.
// GitHub keeps every status and never says how many there are, so those that this process set are counted; after 900
// only final states are told, and others are an error of report.Omit. What other processes set, or this one before it
// was started, is not counted: where that is much, GitHub refuses a status in the end, which is Permanent and says so.
func (f *Forge) Notify(ctx context.Context, n report.Notice) (report.Answer, error) {
	if err := errors.Join(triggers.CheckFlatName(n.Repo), triggers.CheckCommit(n.Commit), f.cfg.NeedToken()); err != nil {
		return report.Answer{}, report.Permanent(fmt.Errorf("set commit status: %w", err))
	}
	answer, err := f.setStatus(ctx, n)
	if err != nil {
		return answer, fmt.Errorf("set status %q of %s at %.12s: %w", n.Context, n.Repo, n.Commit, err)
	}
	return answer, nil
}

func (f *Forge) setStatus(ctx context.Context, n report.Notice) (report.Answer, error) {
	place := n.Repo + "@" + n.Commit + " " + n.Context
	if !n.State.Final() && f.told.count(place) >= spareAfter {
		return report.Answer{}, report.Omit(fmt.Errorf("left out: the commit has %d statuses of this context already, and GitHub takes 1,000; only how runs end is told there", spareAfter))
	}
	// Name and commit were checked to hold nothing that a path would have to escape.
	answer, err := report.SetStatus(ctx, f.client, f.api.JoinPath("repos", n.Repo, "statuses", n.Commit).String(), f.header(), n)
	switch r := (*report.Refusal)(nil); {
	case !errors.As(err, &r): // Set, or so it may be: its answer was lost.
		f.told.add(place, 1)
	case full(r):
		f.told.add(place, spareAfter) // Others need not be refused first.
		return answer, fmt.Errorf("%w; GitHub takes 1,000 statuses of a context for one commit, and has them: the run's page says how it ended; a new commit starts anew", err)
	}
	return answer, report.Advise(err, advice)
}

func (f *Forge) header() http.Header {
	return http.Header{
		"Authorization":        {"Bearer " + string(f.cfg.Token)},
		"Accept":               {"application/vnd.github+json"},
		"X-Github-Api-Version": {apiVersion},
	}
}

// full tells whether a refusal means that the commit has all the statuses of this context that GitHub takes.
func full(r *report.Refusal) bool {
	return r.Status == http.StatusUnprocessableEntity && strings.Contains(r.Reason, "maximum number of statuses")
}

// advice is what to do about a refusal.
var advice = map[int]string{
	http.StatusForbidden:           "the token may not write commit statuses: give it 'Commit statuses: write' (fine-grained) or the scope repo:status",
	http.StatusNotFound:            "no such repository, or the token may not see it: give it access, with 'Commit statuses: write'",
	http.StatusUnprocessableEntity: "GitHub does not take this status; is the commit there?",
}
