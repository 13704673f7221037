package gitlab_test

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/gitlab"
	"github.com/millrace-ci/millrace/triggers/triggertest"
)

// recorded are deliveries in the form of GitLab 17, by their event header.
var recorded = []struct {
	event, name string
	err         error
}{
	{"Push Hook", "push", nil},
	{"Push Hook", "push_cut", nil},
	{"Push Hook", "push_new_branch", nil},
	{"Push Hook", "push_branch_without_commits", nil},
	{"Push Hook", "push_rewound", nil},
	{"Push Hook", "push_branch_deleted", nil},
	{"Tag Push Hook", "tag_push_annotated", nil},
	{"Tag Push Hook", "tag_push_moved", nil},
	{"Tag Push Hook", "tag_push_deleted", nil},
	{"Tag Push Hook", "tag_push_of_a_tree", triggers.ErrIgnored},
	{"Merge Request Hook", "merge_request_opened", nil},
	{"Merge Request Hook", "merge_request_synchronized", nil},
	{"Merge Request Hook", "merge_request_labeled", nil},
	{"Merge Request Hook", "merge_request_unlabeled", nil},
	{"Merge Request Hook", "merge_request_ready", nil},
	{"Merge Request Hook", "merge_request_draft", nil},
	{"Merge Request Hook", "merge_request_retitled", nil},
	{"Merge Request Hook", "merge_request_merged", nil},
	{"Merge Request Hook", "merge_request_fork", nil},
	{"Merge Request Hook", "merge_request_fork_gone", nil},
	{"Merge Request Hook", "merge_request_empty_times", nil},
}

func kit() triggertest.Kit {
	k := triggertest.Kit{
		New: func(secrets triggers.Secrets) (triggers.Source, error) {
			return gitlab.New(gitlab.Config{Name: "gitlab", Secrets: secrets, Now: now})
		},
		Sign: func(h http.Header, secret triggers.Secret, body []byte) { maps.Copy(h, signed(secret, signedAt, body)) },
		Telling: []string{
			"object_kind", "event_name", "checkout_sha", "total_commits_count", "project_id", "project", "path_with_namespace", "web_url", "user_username",
			"object_attributes", "iid", "oldrev", "source_branch", "target_branch", "source_project_id", "target_project_id", "last_commit", "url", "draft",
			"changes", "previous", "current", "author_id", "user", "username",
		},
		Foreign: map[string]http.Header{
			"gitea":  triggertest.Headers("X-Gitea-Event", "push", "X-GitHub-Event", "push", "X-GitHub-Delivery", "u", "X-Gitea-Delivery", "u"),
			"github": triggertest.Headers("X-GitHub-Event", "push", "X-GitHub-Delivery", "u"),
		},
	}
	for _, r := range recorded {
		k.Recorded = append(k.Recorded, triggertest.Recorded{Name: r.name, Err: r.err, Header: triggertest.Headers(
			"X-Gitlab-Event", r.event, "Idempotency-Key", "f5e5f430-f57b-4e6e-9fac-d9128cd7232f", "X-Gitlab-Instance", "https://gitlab.example.com",
			"X-Gitlab-Event-UUID", "13792a34-cac6-4fda-95a8-c58e00a3954e", "X-Gitlab-Webhook-UUID", "02affd2d-2cba-4033-917d-ec22d5dc4b38",
			"User-Agent", "GitLab/17.5.1", "Content-Type", "application/json")})
	}
	return k
}

func TestLaws(t *testing.T) { triggertest.Run(t, kit()) }

func TestHeading(t *testing.T) {
	t.Parallel()
	f := forge(t, gitlab.Config{})
	for event, want := range map[string]triggers.Heading{
		"Push Hook":          {Kind: "push", Acts: true},
		"Tag Push Hook":      {Kind: "tag_push", Acts: true},
		"Merge Request Hook": {Kind: "merge_request", Acts: true},
		"System Hook":        {Kind: "system", Acts: true},
		"Note Hook":          {Kind: "note"},
		"Wiki Page Hook":     {Kind: "wiki_page"},
	} {
		for name, h := range map[string]http.Header{
			"new": triggertest.Headers("X-Gitlab-Event", event, "Idempotency-Key", "k", "X-Gitlab-Event-UUID", "e", "X-Gitlab-Webhook-UUID", "w"),
			"old": triggertest.Headers("X-Gitlab-Event", event, "X-Gitlab-Event-UUID", "k"),
		} {
			want.Key = "k"
			if got, err := f.Heading(h); err != nil || got != want {
				t.Errorf("%s, %s: got %+v, %v, want %+v", event, name, got, err, want)
			}
		}
	}
	if _, err := f.Heading(triggertest.Headers("X-Gitlab-Event", "Push Hook")); !errors.Is(err, triggers.ErrHeading) || !strings.Contains(err.Error(), "Idempotency-Key") {
		t.Errorf("no key: got %v, want %v that names the header", err, triggers.ErrHeading)
	}
}

func set(field string, value any) func(map[string]any) {
	return func(body map[string]any) { body[field] = value }
}

// TestASystemHook has the events of other hooks, without a header that tells them apart, and a lot besides.
func TestASystemHook(t *testing.T) {
	t.Parallel()
	for _, r := range recorded {
		kind, _, _ := strings.Cut(r.name, "_")
		kind = map[string]string{"push": "push", "tag": "tag_push", "merge": "merge_request"}[kind]
		want, wantErr := kit().Parse(t, kind, r.name, func(map[string]any) {})
		for name, change := range map[string]func(map[string]any){
			"today":  func(map[string]any) {},
			"of old": func(body map[string]any) { delete(body, "object_kind"); body["event_name"] = kind },
		} {
			got, err := kit().Parse(t, "system", r.name, change)
			if !errors.Is(err, wantErr) && (err == nil || wantErr == nil) {
				t.Errorf("%s, %s: got %v, want %v", r.name, name, err, wantErr)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", r.name, name, diff)
			}
		}
	}
	for _, body := range []string{`{"event_name":"project_create","project_id":74}`, `{"object_kind":"something_new"}`} {
		_, err := forge(t, gitlab.Config{}).Parse(triggers.Delivery{Kind: "system", Body: []byte(body)})
		if !errors.Is(err, triggers.ErrIgnored) {
			t.Errorf("%s: got %v, want %v", body, err, triggers.ErrIgnored)
		}
	}
}

// TestWhatIsSaidTwice keeps a scoped secret from reporting another repository's event as its own, and a body that
// contradicts itself from being acted on.
func TestWhatIsSaidTwice(t *testing.T) {
	t.Parallel()
	sha := strings.Repeat("a", 40)
	for _, c := range []struct {
		what, kind, name string
		change           func(map[string]any)
	}{
		{"another project's id", "push", "push", set("project_id", 4711)},
		{"another project's request", "merge_request", "merge_request_opened", func(b map[string]any) { b["project"].(map[string]any)["id"] = 4711 }},
		{"a tag as a branch", "push", "push", set("ref", "refs/tags/v1")},
		{"a branch as a tag", "tag_push", "tag_push_moved", set("ref", "refs/heads/main")},
		{"another commit to check out", "push", "push", set("checkout_sha", sha)},
		{"nothing to check out", "push", "push", set("checkout_sha", nil)},
		{"a deleted branch to check out", "push", "push_branch_deleted", set("checkout_sha", sha)},
		{"a deleted tag to check out", "tag_push", "tag_push_deleted", set("checkout_sha", sha)},
		{"another kind in the header", "tag_push", "push", func(map[string]any) {}},
		{"no kind in the body", "push", "push", func(b map[string]any) { delete(b, "object_kind"); delete(b, "event_name") }},
	} {
		if _, err := kit().Parse(t, c.kind, c.name, c.change); !errors.Is(err, triggers.ErrPayload) {
			t.Errorf("%s: got %v, want %v", c.what, err, triggers.ErrPayload)
		}
	}
}

// TestAFullListMayBeCut keeps a push of more commits than GitLab lists from hiding files from path filters.
func TestAFullListMayBeCut(t *testing.T) {
	t.Parallel()
	for total, known := range map[int]bool{2: true, 3: false} {
		e, err := kit().Parse(t, "push", "push", set("total_commits_count", total))
		if err != nil || (e.Files != nil) != known {
			t.Errorf("2 of %d commits: files %v, %v, want them known: %v", total, e.Files, err, known)
		}
	}
}

// TestAHugeList is refused before it is decoded, also when the kind is right, which the law about memory does not say.
func TestAHugeList(t *testing.T) {
	t.Parallel()
	body := `{"object_kind":"push","commits":[` + strings.Repeat("null,", 1<<17) + `null]}`
	_, err := forge(t, gitlab.Config{}).Parse(triggers.Delivery{Kind: "push", Body: []byte(body)})
	if !errors.Is(err, triggers.ErrPayload) || !strings.Contains(err.Error(), "elements") {
		t.Errorf("got %v, want %v for its elements", err, triggers.ErrPayload)
	}
}

func FuzzParse(f *testing.F) { kit().Fuzz(f, "system") }
