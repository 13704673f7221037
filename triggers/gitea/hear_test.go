package gitea_test

import (
	"net/http"
	"testing"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/gitea"
	"github.com/millrace-ci/millrace/triggers/triggertest"
)

// recorded are Gitea's deliveries, by their event and event type headers.
var recorded = []struct {
	event, kind, name string
	err               error
}{
	{"push", "push", "push", nil},
	{"push", "push", "push_cut", nil},
	{"push", "push", "push_new_branch", nil},
	{"push", "push", "push_rewound", nil},
	{"push", "push", "push_tag_annotated", nil},
	{"push", "push", "push_tag_deleted", triggers.ErrIgnored},
	{"create", "create", "create_branch", triggers.ErrIgnored},
	{"delete", "delete", "delete_branch", nil},
	{"delete", "delete", "delete_tag", nil},
	{"pull_request", "pull_request", "pull_request_opened", nil},
	{"pull_request", "pull_request_sync", "pull_request_synchronized", nil},
	{"pull_request", "pull_request_label", "pull_request_label_updated", nil},
	{"pull_request", "pull_request", "pull_request_merged", nil},
	{"pull_request", "pull_request", "pull_request_fork", nil},
	{"pull_request", "pull_request", "pull_request_fork_gone", nil},
}

func kit() triggertest.Kit {
	k := triggertest.Kit{
		New: func(secrets triggers.Secrets) (triggers.Source, error) {
			return gitea.New(gitea.Config{Name: "gitea", URL: "https://git.example.com", Secrets: secrets})
		},
		Sign: func(h http.Header, secret triggers.Secret, body []byte) {
			h.Set("X-Gitea-Signature", triggertest.HMAC(secret, body))
			h.Set("X-Hub-Signature-256", "sha256="+triggertest.HMAC(secret, body))
		},
		Foreign: map[string]http.Header{
			"github": triggertest.Headers("X-GitHub-Event", "push", "X-GitHub-Delivery", "u"),
			"gitlab": triggertest.Headers("X-Gitlab-Event", "Push Hook"),
		},
	}
	const uuid = "ad24dd1a-67a4-4c8e-9a0c-5a8c2f0a3f1e"
	for _, r := range recorded {
		k.Recorded = append(k.Recorded, triggertest.Recorded{Name: r.name, Err: r.err, Header: triggertest.Headers(
			"X-Gitea-Event", r.event, "X-Gitea-Event-Type", r.kind, "X-Gitea-Delivery", uuid,
			"X-Gogs-Event", r.event, "X-Gogs-Event-Type", r.kind, "X-Gogs-Delivery", uuid,
			"X-GitHub-Event", r.event, "X-GitHub-Event-Type", r.kind, "X-GitHub-Delivery", uuid, "Content-Type", "application/json")})
	}
	return k
}

func TestLaws(t *testing.T) { triggertest.Run(t, kit()) }

func TestForgejoIsHeardToo(t *testing.T) {
	t.Parallel()
	f, err := gitea.New(gitea.Config{Name: "gitea", URL: "https://git.example.com", Secrets: triggers.Secrets{{Value: "s"}}})
	if err != nil {
		t.Fatal(err)
	}
	body := []byte("{}")
	for _, h := range []http.Header{
		triggertest.Headers("X-Forgejo-Event", "push", "X-Forgejo-Delivery", "u", "X-Forgejo-Signature", triggertest.HMAC("s", body)),
		triggertest.Headers("X-Gitea-Event", "push", "X-Gitea-Delivery", "u", "X-Hub-Signature-256", "sha256="+triggertest.HMAC("s", body)),
	} {
		if _, err := f.Verify(h, "", body); err != nil {
			t.Errorf("verify %v: %v", h, err)
		}
		got, err := f.Heading(h)
		if want := (triggers.Heading{Kind: "push", Key: "u", Acts: true}); err != nil || got != want {
			t.Errorf("heading: got %+v, %v, want %+v", got, err, want)
		}
	}
}

func FuzzParse(f *testing.F) { kit().Fuzz(f) }
