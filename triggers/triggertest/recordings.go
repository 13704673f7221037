package triggertest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/triggers"
)

// Headers are headers, of names and values in turn.
func Headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

// HMAC is the hex of body's HMAC-SHA256.
func HMAC(secret triggers.Secret, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// Parse parses the recorded delivery called name as one of kind, after change.
func (kit Kit) Parse(t *testing.T, kind, name string, change func(body map[string]any)) (triggers.Event, error) {
	t.Helper()
	body, ok := decode(t, Recorded{Name: name}.body(t)).(map[string]any)
	if !ok {
		t.Fatalf("%s is no object", name)
	}
	change(body)
	return kit.source(t).Parse(triggers.Delivery{ID: "d", Forge: "forge", Kind: kind, Body: encode(t, body), At: heard})
}

// Fuzz fuzzes the parser with the recorded bodies as seeds, each as every kind of delivery that is recorded, and as
// those in more: only their telling fields, since it is slow with large ones.
func (kit Kit) Fuzz(f *testing.F, more ...string) {
	s := kit.source(f)
	kinds := more
	for _, r := range kit.Recorded {
		h, err := s.Heading(r.Header)
		if err != nil {
			f.Fatal(err)
		}
		if !slices.Contains(kinds, h.Kind) {
			kinds = append(kinds, h.Kind)
		}
	}
	for _, r := range kit.Recorded {
		body := encode(f, pruned(decode(f, r.body(f)), kit.tells))
		for i := range kinds {
			f.Add(uint8(i), body)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		d := triggers.Delivery{ID: "d", Forge: "forge", Kind: kinds[int(kind)%len(kinds)], Body: body, At: time.Unix(1, 0)}
		if e, err := s.Parse(d); err == nil {
			if err := Possible(e); err != nil {
				t.Error(err)
			}
		}
	})
}

// oneRepository keeps a scoped secret from reporting another repository's request as its own.
func (kit Kit) oneRepository(t *testing.T) {
	for _, r := range kit.Recorded {
		h, err := kit.source(t).Heading(r.Header)
		if err != nil {
			t.Fatal(err)
		}
		e, err := kit.Parse(t, h.Kind, r.Name, func(map[string]any) {})
		if err != nil || e.Kind != triggers.PullRequest {
			continue
		}
		other, err := kit.Parse(t, h.Kind, r.Name, func(body map[string]any) {
			for _, name := range []string{"repository", "project"} {
				if repository, ok := body[name].(map[string]any); ok && repository["id"] != nil {
					repository["id"] = 4711
				}
			}
		})
		if !errors.Is(err, triggers.ErrPayload) {
			t.Errorf("%s in another repository than its base: got %+v, %v, want %v", r.Name, other, err, triggers.ErrPayload)
		}
	}
}
