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

// Notify implements report.Notifier: it sets the status n.Context of commit n.Commit, or, as an app that may, makes or
// updates the check run of that name. Telling twice shows the same.
// GitHub keeps every status and never says how many there are, so those that this process set are counted; after 900
// only final states are told, and others are an error of report.Omit. What other processes set, or this one before it
// was started, is not counted: where that is much, GitHub refuses a status in the end, which is Permanent and says so.
func (f *Forge) Notify(ctx context.Context, n report.Notice) (report.Answer, error) {
	errs := []error{triggers.CheckFlatName(n.Repo), triggers.CheckCommit(n.Commit)}
	if f.app == nil {
		errs = append(errs, f.cfg.NeedToken())
	}
	if err := errors.Join(errs...); err != nil {
		return report.Answer{}, report.Permanent(fmt.Errorf("set commit status: %w", err))
	}
	answer, err := f.tell(ctx, n)
	if err != nil {
		return answer, fmt.Errorf("set status %q of %s at %.12s: %w", n.Context, n.Repo, n.Commit, err)
	}
	return answer, nil
}

// tell tells by the token, or by the app's. One that was revoked, or may less than it could, is replaced once: what an
// app may is changed while it runs.
func (f *Forge) tell(ctx context.Context, n report.Notice) (report.Answer, error) {
	if f.app == nil {
		return f.setStatus(ctx, credential{token: string(f.cfg.Token)}, n)
	}
	by, err := f.app.credential(ctx, n.Repo, "")
	if err != nil {
		return report.AnswerOf(err), err
	}
	answer, err := f.tellAs(ctx, by, n)
	if r := report.Refused(err); r == nil || r.Status != http.StatusUnauthorized && r.Status != http.StatusForbidden {
		return answer, err
	}
	fresh, lost := f.app.credential(ctx, n.Repo, by.token)
	if lost != nil {
		return report.AnswerOf(lost), lost
	}
	if fresh == by {
		return answer, err
	}
	return f.tellAs(ctx, fresh, n)
}

func (f *Forge) tellAs(ctx context.Context, by credential, n report.Notice) (report.Answer, error) {
	if by.checks {
		answer, err := f.tellCheck(ctx, by, n)
		return answer, report.Advise(err, advice)
	}
	return f.setStatus(ctx, by, n)
}

func (f *Forge) setStatus(ctx context.Context, by credential, n report.Notice) (report.Answer, error) {
	place := n.Repo + "@" + n.Commit + " " + n.Context
	if !n.State.Final() && f.told.get(place) >= spareAfter {
		return report.Answer{}, report.Omit(fmt.Errorf("left out: the commit has %d statuses of this context already, and GitHub takes 1,000; only how runs end is told there", spareAfter))
	}
	// Name and commit were checked to hold nothing that a path would have to escape.
	answer, err := report.SetStatus(ctx, f.client, f.api.JoinPath("repos", n.Repo, "statuses", n.Commit).String(), headerOf(by.token), n)
	switch r := (*report.Refusal)(nil); {
	case !errors.As(err, &r): // Set, or so it may be: its answer was lost.
		f.count(place, 1)
	case full(r):
		f.count(place, spareAfter) // Others need not be refused first.
		return answer, fmt.Errorf("%w; GitHub takes 1,000 statuses of a context for one commit, and has them: the run's page says how it ended; a new commit starts anew", err)
	}
	return answer, report.Advise(err, advice)
}

func (f *Forge) count(place string, more int) {
	f.told.change(place, func(n int) int { return n + more })
}

// header is that of a request by the configured token.
func (f *Forge) header() http.Header { return headerOf(string(f.cfg.Token)) }

func headerOf(token string) http.Header {
	return http.Header{
		"Authorization":        {"Bearer " + token},
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
	http.StatusForbidden:           "the token may not write commit statuses: give it 'Commit statuses: write' (fine-grained, or an app) or the scope repo:status",
	http.StatusNotFound:            "no such repository, or the token may not see it: give it access, with 'Commit statuses: write'",
	http.StatusUnprocessableEntity: "GitHub does not take this status; is the commit there?",
}
