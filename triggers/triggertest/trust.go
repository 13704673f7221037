package triggertest

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/triggers"
)

func (kit Kit) signatures(t *testing.T) {
	body := kit.Recorded[0].body(t)
	signed := func(secret triggers.Secret) http.Header {
		h := kit.Recorded[0].Header.Clone()
		kit.Sign(h, secret, body)
		return h
	}
	// mangled changes whatever Sign added.
	mangled := func(change func(string) string) http.Header {
		h := signed("old")
		for name, v := range h {
			if kit.Recorded[0].Header.Get(name) == "" {
				h.Set(name, change(v[0]))
			}
		}
		return h
	}
	both := triggers.Secrets{{Value: "old"}, {Value: "new"}}
	for _, c := range []struct {
		name    string
		secrets triggers.Secrets
		header  http.Header
		body    []byte
		want    error
	}{
		{"right", triggers.Secrets{{Value: "old"}}, signed("old"), body, nil},
		{"rotated, old", both, signed("old"), body, nil},
		{"rotated, new", both, signed("new"), body, nil},
		{"wrong secret", both, signed("other"), body, triggers.ErrSignature},
		{"empty secret", both, signed(""), body, triggers.ErrSignature},
		{"no signature", both, kit.Recorded[0].Header, body, triggers.ErrSignature},
		{"emptied", both, mangled(func(string) string { return "" }), body, triggers.ErrSignature},
		{"truncated", both, mangled(func(s string) string { return s[:len(s)-2] }), body, triggers.ErrSignature},
		{"forged", both, mangled(func(s string) string { return s[:len(s)-1] + string("10"[int(s[len(s)-1]&1)]) }), body, triggers.ErrSignature},
		{"no hex", both, mangled(func(s string) string { return s[:len(s)-2] + "zz" }), body, triggers.ErrSignature},
		{"longer", both, mangled(func(s string) string { return s + "00" }), body, triggers.ErrSignature},
		{"other body", both, signed("old"), append(slices.Clip(body), ' '), triggers.ErrSignature},
		{"no secrets", nil, signed(""), body, triggers.ErrShut},
	} {
		s := kit.source(t, c.secrets...)
		scope, err := s.Verify(c.header, "", c.body)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if err == nil && (scope.RepositoryID != "" || len(scope.Repositories) > 0) {
			t.Errorf("%s: got scope %+v, want every repository", c.name, scope)
		}
		if err != nil && (strings.Contains(err.Error(), "old") || strings.Contains(err.Error(), "new")) {
			t.Errorf("%s: the error tells a secret: %v", c.name, err)
		}
	}
}

func (kit Kit) scopes(t *testing.T) {
	r := kit.Recorded[0]
	body := r.body(t)
	e, err := kit.source(t).Parse(kit.delivery(t, kit.source(t), r, body))
	if err != nil {
		t.Fatal(err)
	}
	owner, _, _ := strings.Cut(e.Repo.Name, "/")
	for _, c := range []struct {
		name   string
		secret triggers.WebhookSecret
		signer triggers.Secret
		claim  string
		verify error
		parse  error
	}{
		{"its owner's", triggers.WebhookSecret{Value: "s", Repositories: []string{"x/y", owner + "/*"}}, "s", "", nil, nil},
		{"another's", triggers.WebhookSecret{Value: "s", Repositories: []string{"x/*"}}, "s", "", nil, triggers.ErrScope},
		{"half a name", triggers.WebhookSecret{Value: "s", Repositories: []string{owner, e.Repo.Name + "x"}}, "s", "", nil, triggers.ErrScope},
		{"derived", triggers.WebhookSecret{Value: "s", PerRepository: true}, triggers.DerivedSecret("s", e.Repo.ID), e.Repo.ID, nil, nil},
		{"derived for another", triggers.WebhookSecret{Value: "s", PerRepository: true}, triggers.DerivedSecret("s", "666"), "666", nil, triggers.ErrScope},
		{"derived for another, claims this", triggers.WebhookSecret{Value: "s", PerRepository: true}, triggers.DerivedSecret("s", "666"), e.Repo.ID, triggers.ErrSignature, nil},
		{"derived, claims none", triggers.WebhookSecret{Value: "s", PerRepository: true}, triggers.DerivedSecret("s", e.Repo.ID), "", triggers.ErrSignature, nil},
		{"derived for nobody", triggers.WebhookSecret{Value: "s", PerRepository: true}, triggers.DerivedSecret("s", ""), "", triggers.ErrSignature, nil},
		{"the master itself", triggers.WebhookSecret{Value: "s", PerRepository: true}, "s", e.Repo.ID, triggers.ErrSignature, nil},
		{"a huge claim", triggers.WebhookSecret{Value: "s", PerRepository: true}, "s", strings.Repeat("1", 1<<20), triggers.ErrSignature, nil},
	} {
		s := kit.source(t, c.secret)
		h := r.Header.Clone()
		kit.Sign(h, c.signer, body)
		scope, err := s.Verify(h, c.claim, body)
		if !errors.Is(err, c.verify) {
			t.Errorf("%s: verify: got %v, want %v", c.name, err, c.verify)
		}
		if err != nil {
			continue
		}
		d := kit.delivery(t, s, r, body)
		d.Scope = scope
		if _, err := s.Parse(d); !errors.Is(err, c.parse) {
			t.Errorf("%s: parse: got %v, want %v", c.name, err, c.parse)
		} else if err != nil && !strings.Contains(err.Error(), e.Repo.Name) {
			t.Errorf("%s: the error does not name %s: %v", c.name, e.Repo.Name, err)
		}
	}
}

func (kit Kit) headings(t *testing.T) {
	s := kit.source(t)
	for kind, h := range kit.Foreign {
		if _, err := s.Heading(h); !errors.Is(err, triggers.ErrHeading) || !strings.Contains(err.Error(), "kind "+kind) {
			t.Errorf("heading of %s: got %v, want %v that names the kind", kind, err, triggers.ErrHeading)
		}
	}
	if _, err := s.Heading(http.Header{}); !errors.Is(err, triggers.ErrHeading) {
		t.Errorf("no headers: got %v, want %v", err, triggers.ErrHeading)
	}
	for name := range kit.Recorded[0].Header {
		for _, bad := range []string{"", strings.Repeat("x", 5000), "a b", "x\x00", "../../x", "é", "millrace:replay:x"} { // The last is how the agent calls its own.
			h := kit.Recorded[0].Header.Clone()
			h.Set(name, bad)
			got, err := s.Heading(h)
			if err == nil && (len(got.Kind)+len(got.Key)+len(got.Hook) > 500 || strings.ContainsAny(got.Kind+got.Key+got.Hook, " :\x00/é")) {
				t.Errorf("%s: %.20q: got %+v, want it refused or not read", name, bad, got)
			}
			if err != nil && !errors.Is(err, triggers.ErrHeading) {
				t.Errorf("%s: %.20q: got %v, want %v", name, bad, err, triggers.ErrHeading)
			}
		}
	}
}
