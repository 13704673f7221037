// Package triggertest holds the laws that every triggers.Source keeps: what recorded deliveries mean, who is believed,
// and that no body, however forged, huge or nonsensical, makes it panic or tell of an impossible event. A forge's tests
// call Run with their recordings; it asks nothing but the Source.
package triggertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/triggers"
)

var update = flag.Bool("update", false, "rewrite golden files")

// Kit is a Source to try and what it is tried with.
type Kit struct {
	// New makes the Source with these webhook secrets.
	New func(secrets triggers.Secrets) (triggers.Source, error)
	// Sign adds to h the signature of body that the forge would make with secret.
	Sign func(h http.Header, secret triggers.Secret, body []byte)
	// Recorded are deliveries as the forge sends them.
	Recorded []Recorded
	// Telling are names of fields that its events are made of, beside those that GitHub and Gitea have.
	Telling []string
	// Foreign are headings of other forges, by the kind of forge that the refusal must name.
	Foreign map[string]http.Header
}

// Recorded is a delivery whose body is testdata/NAME.json, and the event of which is testdata/NAME.golden.json.
type Recorded struct {
	Name   string
	Header http.Header // without a signature
	Err    error       // what Parse refuses it with; nil: it is an event
}

func (r Recorded) body(t testing.TB) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", r.Name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// heard is when everything here arrives.
var heard = time.Date(2026, 9, 2, 12, 0, 0, 0, time.UTC)

// Run tries every law.
func Run(t *testing.T, kit Kit) {
	t.Run("recorded deliveries mean what they meant", kit.recorded)
	t.Run("only a configured secret is believed", kit.signatures)
	t.Run("a secret speaks for its own repositories", kit.scopes)
	t.Run("a heading says what and which it is", kit.headings)
	t.Run("nonsense is refused", kit.nonsense)
	t.Run("a body costs a bounded multiple of its size", kit.memory)
	t.Run("kind and body must agree", kit.disagreement)
	t.Run("a request speaks of one repository", kit.oneRepository)
	t.Run("no field can make an impossible event", kit.fields)
}

func (kit Kit) source(t testing.TB, secrets ...triggers.WebhookSecret) triggers.Source {
	t.Helper()
	s, err := kit.New(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// delivery is r as the door keeps it.
func (kit Kit) delivery(t testing.TB, s triggers.Source, r Recorded, body []byte) triggers.Delivery {
	t.Helper()
	h, err := s.Heading(r.Header)
	if err != nil {
		t.Fatalf("%s: heading: %v", r.Name, err)
	}
	id := triggers.DeliveryID("forge", h.Key)
	return triggers.Delivery{ID: id, Forge: "forge", Key: h.Key, Kind: h.Kind, Hook: h.Hook, Header: r.Header, Body: body, At: heard}
}

func (kit Kit) recorded(t *testing.T) {
	s := kit.source(t)
	for _, r := range kit.Recorded {
		t.Run(r.Name, func(t *testing.T) {
			e, err := s.Parse(kit.delivery(t, s, r, r.body(t)))
			if !errors.Is(err, r.Err) {
				t.Fatalf("got error %v, want %v", err, r.Err)
			}
			if r.Err == nil {
				golden(t, filepath.Join("testdata", r.Name+".golden.json"), e)
			}
		})
	}
}

// golden compares e, as JSON, with a file.
func golden(t *testing.T, path string, e triggers.Event) {
	t.Helper()
	if err := Possible(e); err != nil {
		t.Error(err)
	}
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("event (-want +got; -update rewrites):\n%s", diff)
	}
}
