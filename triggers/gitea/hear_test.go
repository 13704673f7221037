package gitea_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

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
			h.Set("X-Gitea-Signature", sign(secret, body))
			h.Set("X-Hub-Signature-256", "sha256="+sign(secret, body))
		},
		Foreign: map[string]http.Header{
			"github": heading("X-GitHub-Event", "push", "X-GitHub-Delivery", "u"),
			"gitlab": heading("X-Gitlab-Event", "Push Hook"),
		},
	}
	const uuid = "ad24dd1a-67a4-4c8e-9a0c-5a8c2f0a3f1e"
	for _, r := range recorded {
		k.Recorded = append(k.Recorded, triggertest.Recorded{Name: r.name, Err: r.err, Header: heading(
			"X-Gitea-Event", r.event, "X-Gitea-Event-Type", r.kind, "X-Gitea-Delivery", uuid,
			"X-Gogs-Event", r.event, "X-Gogs-Event-Type", r.kind, "X-Gogs-Delivery", uuid,
			"X-GitHub-Event", r.event, "X-GitHub-Event-Type", r.kind, "X-GitHub-Delivery", uuid, "Content-Type", "application/json")})
	}
	return k
}

func sign(secret triggers.Secret, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func heading(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
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
		heading("X-Forgejo-Event", "push", "X-Forgejo-Delivery", "u", "X-Forgejo-Signature", sign("s", body)),
		heading("X-Gitea-Event", "push", "X-Gitea-Delivery", "u", "X-Hub-Signature-256", "sha256="+sign("s", body)),
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

// with parses a recorded delivery after change.
func with(t *testing.T, kind, name string, change func(body map[string]any)) (triggers.Event, error) {
	t.Helper()
	s, err := kit().New(nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatal(err)
	}
	change(body)
	if raw, err = json.Marshal(body); err != nil {
		t.Fatal(err)
	}
	return s.Parse(triggers.Delivery{ID: "d", Forge: "forge", Kind: kind, Body: raw, At: time.Unix(1, 0)})
}

// TestARequestSpeaksOfOneRepository keeps a scoped secret from reporting another repository's request as its own.
func TestARequestSpeaksOfOneRepository(t *testing.T) {
	t.Parallel()
	_, err := with(t, "pull_request", "pull_request_opened", func(body map[string]any) { body["repository"].(map[string]any)["id"] = 4711 })
	if !errors.Is(err, triggers.ErrPayload) {
		t.Errorf("got %v, want %v", err, triggers.ErrPayload)
	}
}

func FuzzParse(f *testing.F) {
	kinds := []string{"push", "delete", "pull_request"}
	for name, body := range kit().Bodies(f) {
		f.Add(uint8(slices.IndexFunc(kinds, func(kind string) bool { return strings.HasPrefix(name, kind) })), body)
	}
	s, err := kit().New(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		d := triggers.Delivery{ID: "d", Forge: "gitea", Kind: kinds[int(kind)%len(kinds)], Body: body, At: time.Unix(1, 0)}
		if e, err := s.Parse(d); err == nil {
			if err := triggertest.Possible(e); err != nil {
				t.Error(err)
			}
		}
	})
}
