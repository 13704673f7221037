package report

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// maxDescription is where GitHub cuts a status' description, in characters; Gitea's pages have room for as much.
const maxDescription = 140

// statusWords are our states in GitHub's and Gitea's.
var statusWords = map[State]string{
	Pending:     "pending",
	Running:     "pending",
	Succeeded:   "success",
	Failed:      "failure",
	Broken:      "error",
	Canceled:    "error",
	NotAffected: "success",
	Skipped:     "success",
	Ignored:     "success",
}

// SetStatus posts n as a commit status to address, in the words that GitHub's REST API has and Gitea's took over
// (POST .../repos/{owner}/{repo}/statuses/{sha}). header says who asks. Errors are those of Send, and Permanent for a
// state that has no word.
func SetStatus(ctx context.Context, client *http.Client, address string, header http.Header, n Notice) (Answer, error) {
	word, ok := statusWords[n.State]
	if !ok {
		return Answer{}, Permanent(fmt.Errorf("no word for state %q", n.State))
	}
	return Post(ctx, client, address, header, struct {
		State       string `json:"state"`
		TargetURL   string `json:"target_url,omitempty"`
		Description string `json:"description"`
		Context     string `json:"context"`
	}{word, n.URL, Cut(n.Text, maxDescription), n.Context})
}

// Refused is the refusal in an error that trying again will not mend, nil for any other error.
func Refused(err error) *Refusal {
	var r *Refusal
	if !IsPermanent(err) || !errors.As(err, &r) {
		return nil
	}
	return r
}

// ordinary is what to do about refusals that mean the same everywhere.
var ordinary = map[int]string{
	http.StatusUnauthorized:      "the token is wrong, expired or revoked: make a new one",
	http.StatusMovedPermanently:  moved,
	http.StatusTemporaryRedirect: moved,
	http.StatusPermanentRedirect: moved,
}

const moved = "the repository or the API has moved: check the forge's url"

// Advise adds to an error in which something was Refused what to do about it, by the status of the answer: what
// a notifier knows about its own other side, or what the status means everywhere.
func Advise(err error, own map[int]string) error {
	r := Refused(err)
	if r == nil {
		return err
	}
	advice, ok := own[r.Status]
	if !ok {
		advice, ok = ordinary[r.Status]
	}
	if !ok {
		return err
	}
	return fmt.Errorf("%w; %s", err, advice)
}
