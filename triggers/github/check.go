package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
)

// checkWords are our states in the words of check runs: a status, and a conclusion once it is over.
var checkWords = map[report.State][2]string{
	report.Pending:     {"queued"},
	report.Running:     {"in_progress"},
	report.Succeeded:   {"completed", "success"},
	report.Failed:      {"completed", "failure"},
	report.Broken:      {"completed", "failure"},
	report.Canceled:    {"completed", "cancelled"}, //nolint:misspell // GitHub's own word.
	report.NotAffected: {"completed", "success"},
	report.Skipped:     {"completed", "skipped"},
	report.Ignored:     {"completed", "neutral"},
}

// Bounds of a check run's texts, in characters (GitHub takes 65,535 bytes), and of the runs of one name that are looked at.
const maxTitle, maxSummary, maxFound = 255, 16_000, "100"

// checkRun is what 'Create a check run' and 'Update a check run' of the REST API take.
type checkRun struct {
	Name        string     `json:"name"`
	HeadSHA     string     `json:"head_sha,omitempty"` // only when it is created
	DetailsURL  string     `json:"details_url,omitempty"`
	ExternalID  string     `json:"external_id"`
	Status      string     `json:"status"`
	Conclusion  string     `json:"conclusion,omitempty"`
	CompletedAt *time.Time `json:"completed_at,omitempty"`
	Output      output     `json:"output"`
}

type output struct {
	Title   string `json:"title"`
	Summary string `json:"summary"`
}

// tellCheck makes the check run of what n tells, or updates it. Which one that is, GitHub says: its name is the context
// and its external id the run, or the commit where it is of all. Those that this process made are remembered, so that
// most updates take one request; how it ended is told to all that there are, should two have been made. What began as a
// commit status, before the app might make check runs, goes on as one: else that would be pending for ever.
func (f *Forge) tellCheck(ctx context.Context, by credential, n report.Notice) (report.Answer, error) {
	words, ok := checkWords[n.State]
	if !ok {
		return report.Answer{}, report.Permanent(fmt.Errorf("no word for state %q", n.State))
	}
	external := cmp.Or(n.Run, n.Commit)
	place := n.Repo + "@" + n.Commit + " " + n.Context + " " + external
	ids := f.made.get(place)
	if len(ids) == 0 || n.State.Final() {
		found, answer, err := f.findChecks(ctx, by, n, external)
		if err != nil {
			return answer, err
		}
		ids = append(slices.Clip(ids), slices.DeleteFunc(found, func(id int64) bool { return slices.Contains(ids, id) })...)
	}
	if first := n.State == report.Pending && n.Run != ""; len(ids) == 0 && !first {
		if answer, err := f.tellOpen(ctx, by, n); !errors.Is(err, errNotOpen) && !report.IsPermanent(err) {
			return answer, err
		}
	}
	c := checkRun{
		Name: n.Context, DetailsURL: n.URL, ExternalID: external, Status: words[0], Conclusion: words[1],
		Output: output{report.Cut(n.Text, maxTitle), report.Cut(summary(ctx, n), maxSummary)},
	}
	if n.State.Final() && !n.At.IsZero() {
		c.CompletedAt = &n.At
	}
	return f.sendCheck(ctx, by, n, c, place, ids)
}

// summary is what a check run says at length.
func summary(ctx context.Context, n report.Notice) string {
	if n.Details == nil {
		return n.Text
	}
	return cmp.Or(n.Details(ctx), n.Text)
}

// sendCheck creates c, or updates those with ids.
func (f *Forge) sendCheck(ctx context.Context, by credential, n report.Notice, c checkRun, place string, ids []int64) (answer report.Answer, err error) {
	address := f.api.JoinPath("repos", n.Repo, "check-runs")
	if len(ids) == 0 {
		c.HeadSHA = n.Commit
		var created struct{ ID int64 }
		_, answer, err = report.Call{Method: http.MethodPost, Address: address.String(), Header: headerOf(by.token), Body: c}.Send(ctx, f.client, &created)
		if err == nil && created.ID != 0 {
			f.made.change(place, func(known []int64) []int64 { return append(slices.Clip(known), created.ID) })
		}
		return answer, err
	}
	for _, id := range ids {
		one := address.JoinPath(strconv.FormatInt(id, 10)).String()
		_, answer, err = report.Call{Method: http.MethodPatch, Address: one, Header: headerOf(by.token), Body: c}.Send(ctx, f.client, nil)
		if err != nil {
			f.made.change(place, func([]int64) []int64 { return nil }) // The next try asks GitHub which there are.
			return answer, err
		}
	}
	return answer, nil
}

// errNotOpen means that no commit status is pending of what is to be told.
var errNotOpen = errors.New("no status is pending")

// tellOpen sets the commit status of n where that is pending, as one of the newest hundred of the commit.
func (f *Forge) tellOpen(ctx context.Context, by credential, n report.Notice) (report.Answer, error) {
	address := f.api.JoinPath("repos", n.Repo, "commits", n.Commit, "statuses")
	address.RawQuery = url.Values{"per_page": {maxFound}}.Encode()
	var newest []struct{ Context, State string }
	_, answer, err := report.Call{Method: http.MethodGet, Address: address.String(), Header: headerOf(by.token)}.Send(ctx, f.client, &newest)
	if err != nil {
		return answer, fmt.Errorf("find the commit status: %w", err)
	}
	for _, s := range newest {
		if s.Context == n.Context {
			if s.State != "pending" {
				break
			}
			return f.setStatus(ctx, by, n)
		}
	}
	return answer, errNotOpen
}

// findChecks are the check runs that were made of what n tells.
func (f *Forge) findChecks(ctx context.Context, by credential, n report.Notice, external string) ([]int64, report.Answer, error) {
	address := f.api.JoinPath("repos", n.Repo, "commits", n.Commit, "check-runs")
	address.RawQuery = url.Values{"check_name": {n.Context}, "filter": {"all"}, "per_page": {maxFound}}.Encode()
	var found struct {
		CheckRuns []struct {
			ID         int64
			ExternalID string `json:"external_id"`
		} `json:"check_runs"`
	}
	_, answer, err := report.Call{Method: http.MethodGet, Address: address.String(), Header: headerOf(by.token)}.Send(ctx, f.client, &found)
	if err != nil {
		return nil, answer, fmt.Errorf("find the check run: %w", err)
	}
	var ids []int64
	for _, c := range found.CheckRuns {
		if c.ExternalID == external {
			ids = append(ids, c.ID)
		}
	}
	return ids, answer, nil
}
