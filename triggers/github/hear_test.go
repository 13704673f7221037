package github_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/github"
	"github.com/millrace-ci/millrace/triggers/triggertest"
)

// recorded are GitHub's deliveries, by their event header.
var recorded = []struct {
	event, name string
	err         error
}{
	{"push", "push", nil},
	{"push", "push_new_branch", nil},
	{"push", "push_forced", nil},
	{"push", "push_tag_annotated", nil},
	{"push", "push_branch_deleted", nil},
	{"push", "push_tag_deleted", nil},
	{"push", "push_notes", triggers.ErrIgnored},
	{"pull_request", "pull_request_opened", nil},
	{"pull_request", "pull_request_synchronize", nil},
	{"pull_request", "pull_request_labeled", nil},
	{"pull_request", "pull_request_merged", nil},
	{"pull_request", "pull_request_fork", nil},
	{"pull_request", "pull_request_fork_gone", nil},
}

func kit() triggertest.Kit {
	k := triggertest.Kit{
		New: func(secrets triggers.Secrets) (triggers.Source, error) {
			return github.New(github.Config{Name: "github", Secrets: secrets})
		},
		Sign: func(h http.Header, secret triggers.Secret, body []byte) {
			h.Set("X-Hub-Signature-256", "sha256="+triggertest.HMAC(secret, body))
		},
		Foreign: map[string]http.Header{
			"gitea":  triggertest.Headers("X-Gitea-Event", "push", "X-GitHub-Event", "push", "X-GitHub-Delivery", "u", "X-Gitea-Delivery", "u"),
			"gitlab": triggertest.Headers("X-Gitlab-Event", "Push Hook"),
		},
	}
	for _, r := range recorded {
		k.Recorded = append(k.Recorded, triggertest.Recorded{Name: r.name, Err: r.err, Header: triggertest.Headers(
			"X-GitHub-Event", r.event, "X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958", "X-GitHub-Hook-ID", "292430182",
			"User-Agent", "GitHub-Hookshot/044aadd", "Content-Type", "application/json")})
	}
	return k
}

func TestLaws(t *testing.T) { triggertest.Run(t, kit()) }

func TestHeading(t *testing.T) {
	t.Parallel()
	f, err := github.New(github.Config{Name: "github"})
	if err != nil {
		t.Fatal(err)
	}
	for event, acts := range map[string]bool{"push": true, "pull_request": true, "create": false, "delete": false, "ping": false, "merge_group": false} {
		got, err := f.Heading(triggertest.Headers("X-GitHub-Event", event, "X-GitHub-Delivery", "u", "X-GitHub-Hook-ID", "7"))
		if want := (triggers.Heading{Kind: event, Key: "u", Hook: "7", Acts: acts}); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", event, got, err, want)
		}
	}
}

func TestADeletionSaysSoTwice(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"push", "push_branch_deleted"} {
		_, err := kit().Parse(t, "push", name, func(body map[string]any) { body["deleted"] = !body["deleted"].(bool) })
		if !errors.Is(err, triggers.ErrPayload) {
			t.Errorf("%s: got %v, want %v", name, err, triggers.ErrPayload)
		}
	}
}

// TestAFullListMayBeCut keeps a push of more commits than GitHub lists from hiding files from path filters.
func TestAFullListMayBeCut(t *testing.T) {
	t.Parallel()
	for n, known := range map[int]bool{2047: true, 2048: false} {
		e, err := kit().Parse(t, "push", "push", func(body map[string]any) {
			commits := body["commits"].([]any)
			for len(commits) < n {
				commits = append(commits, commits[0])
			}
			body["commits"] = commits
		})
		if err != nil || (e.Files != nil) != known {
			t.Errorf("%d commits: files %v, %v, want them known: %v", n, e.Files, err, known)
		}
	}
}

func FuzzParse(f *testing.F) { kit().Fuzz(f) }
