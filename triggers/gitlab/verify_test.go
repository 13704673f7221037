package gitlab_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/gitlab"
	"github.com/millrace-ci/millrace/triggers/triggertest"
)

var signedAt = time.Date(2026, 9, 2, 12, 0, 0, 0, time.UTC)

// now is the clock of every forge here: four minutes after what is signed.
func now() time.Time { return signedAt.Add(4 * time.Minute) }

// forge is one with the rest of cfg as the tests want it.
func forge(t *testing.T, cfg gitlab.Config) *gitlab.Forge {
	t.Helper()
	cfg.Name, cfg.Now = "gitlab", now
	f, err := gitlab.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// key is what a secret signs with, written apart from the package's: a derived one is 32 bytes in hex.
func key(secret triggers.Secret) []byte {
	if raw, err := hex.DecodeString(string(secret)); err == nil && len(raw) == 32 {
		return raw
	}
	return []byte(secret)
}

// signed are the headers of the form 'Standard Webhooks'.
func signed(secret triggers.Secret, at time.Time, body []byte) http.Header {
	const id = "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"
	timestamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key(secret))
	mac.Write([]byte(id + "." + timestamp + "." + string(body)))
	return triggertest.Headers("webhook-id", id, "webhook-timestamp", timestamp, "webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// TestStandardWebhooks holds the form against the test vector of the reference implementations.
func TestStandardWebhooks(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	body := []byte(`{"test": 2432232314}`)
	at := time.Unix(1614265330, 0)
	h := triggertest.Headers("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp", "1614265330",
		"webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	for _, c := range []struct {
		name   string
		secret triggers.Secret
		now    time.Time
		change func(http.Header)
		body   []byte
		ok     bool
	}{
		{"as it is", secret, at, nil, body, true},
		{"5 minutes old", secret, at.Add(5 * time.Minute), nil, body, true},
		{"older", secret, at.Add(5*time.Minute + time.Second), nil, body, false},
		{"from 5 minutes hence", secret, at.Add(-5 * time.Minute), nil, body, true},
		{"from later", secret, at.Add(-5*time.Minute - time.Second), nil, body, false},
		{"among others", secret, at, func(h http.Header) {
			h.Set("webhook-signature", "v1a,AAAA v1,AAAA nonsense v1,%% "+h.Get("webhook-signature")+" v1,AAAA v2,AAAA")
		}, body, true},
		{"of another version", secret, at, func(h http.Header) { h.Set("webhook-signature", "v1a"+h.Get("webhook-signature")[2:]) }, body, false},
		{"of an empty sum", secret, at, func(h http.Header) { h.Set("webhook-signature", "v1,") }, body, false},
		{"of another delivery", secret, at, func(h http.Header) { h.Set("webhook-id", "msg_x") }, body, false},
		{"of another time", secret, at, func(h http.Header) { h.Set("webhook-timestamp", "1614265331") }, body, false},
		{"of no time", secret, at, func(h http.Header) { h.Del("webhook-timestamp") }, body, false},
		{"of a time beyond all", secret, at, func(h http.Header) { h.Set("webhook-timestamp", "9223372036854775807") }, body, false},
		{"of another body", secret, at, nil, []byte(`{"test": 2432232315}`), false},
		{"another secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx", at, nil, body, false},
		{"the secret as it is written", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", at, nil, body, false},
	} {
		f, err := gitlab.New(gitlab.Config{Name: "gitlab", Secrets: triggers.Secrets{{Value: c.secret}}, Now: func() time.Time { return c.now }})
		if err != nil {
			t.Fatal(err)
		}
		h := h.Clone()
		if c.change != nil {
			c.change(h)
		}
		if _, err := f.Verify(h, "", c.body); (err == nil) != c.ok || err != nil && !errors.Is(err, triggers.ErrSignature) {
			t.Errorf("%s: got %v, want it believed: %v", c.name, err, c.ok)
		}
	}
}

// TestAnEmptyKeyIsNobodys keeps 'whsec_' and nothing behind it from being a key that everybody has.
func TestAnEmptyKeyIsNobodys(t *testing.T) {
	t.Parallel()
	f := forge(t, gitlab.Config{Secrets: triggers.Secrets{{Value: "whsec_"}}})
	if _, err := f.Verify(signed("", signedAt, []byte("{}")), "", []byte("{}")); !errors.Is(err, triggers.ErrSignature) {
		t.Errorf("got %v, want %v", err, triggers.ErrSignature)
	}
}

// TestAStaleDeliverySaysSo names the clocks where they are what is wrong.
func TestAStaleDeliverySaysSo(t *testing.T) {
	t.Parallel()
	f := forge(t, gitlab.Config{Secrets: triggers.Secrets{{Value: "s"}}})
	_, err := f.Verify(signed("s", signedAt.Add(-3*time.Minute), nil), "", nil)
	if !errors.Is(err, triggers.ErrSignature) || !strings.Contains(err.Error(), "7m0s") || !strings.Contains(err.Error(), "clock") {
		t.Errorf("got %v, want %v and how far the clocks are apart", err, triggers.ErrSignature)
	}
}

// TestToken is what triggertest tries with signatures, with X-Gitlab-Token, which is the secret itself.
func TestToken(t *testing.T) {
	t.Parallel()
	body := []byte("{}")
	derived := string(triggers.DerivedSecret("master", "15"))
	secrets := triggers.Secrets{{Value: "old"}, {Value: "new", Repositories: []string{"shop/*"}}, {Value: "master", PerRepository: true}}
	for _, c := range []struct {
		name    string
		secrets triggers.Secrets
		token   string
		claim   string
		want    triggers.Scope
		err     error
	}{
		{"old", secrets, "old", "", triggers.Scope{}, nil},
		{"new", secrets, "new", "", triggers.Scope{Repositories: []string{"shop/*"}}, nil},
		{"derived", secrets, derived, "15", triggers.Scope{RepositoryID: "15"}, nil},
		{"derived, claims another", secrets, derived, "16", triggers.Scope{}, triggers.ErrSignature},
		{"derived, claims none", secrets, derived, "", triggers.Scope{}, triggers.ErrSignature},
		{"the master itself", secrets, "master", "15", triggers.Scope{}, triggers.ErrSignature},
		{"none", secrets, "", "", triggers.Scope{}, triggers.ErrSignature},
		{"wrong", secrets, "other", "", triggers.Scope{}, triggers.ErrSignature},
		{"a beginning", secrets, "ol", "", triggers.Scope{}, triggers.ErrSignature},
		{"longer", secrets, "older", "", triggers.Scope{}, triggers.ErrSignature},
		{"an empty secret", triggers.Secrets{{Value: "s"}, {Value: "t"}}, "", "", triggers.Scope{}, triggers.ErrSignature},
		{"no secrets", nil, "old", "", triggers.Scope{}, triggers.ErrShut},
	} {
		got, err := forge(t, gitlab.Config{Secrets: c.secrets}).Verify(triggertest.Headers("X-Gitlab-Token", c.token), c.claim, body)
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || !cmp.Equal(got, c.want) {
			t.Errorf("%s: got %+v, %v, want %+v, %v", c.name, got, err, c.want, c.err)
		}
		if err != nil && (strings.Contains(err.Error(), "old") || strings.Contains(err.Error(), "master")) {
			t.Errorf("%s: the error tells a secret: %v", c.name, err)
		}
	}
}

// TestOneProofIsEnough has a hook with both a secret token and a signing token, of which we may know only one.
func TestOneProofIsEnough(t *testing.T) {
	t.Parallel()
	body := []byte("{}")
	for _, known := range []triggers.Secret{"token", "whsec_c2lnbmluZw=="} {
		h := signed("signing", signedAt, body)
		h.Set("X-Gitlab-Token", "token")
		if _, err := forge(t, gitlab.Config{Secrets: triggers.Secrets{{Value: known}}}).Verify(h, "", body); err != nil {
			t.Errorf("%q: %v", string(known), err)
		}
	}
}

// TestADerivedSigningToken is what a person enters at GitLab for a repository's hook: GitLab takes 32 bytes in base64.
func TestADerivedSigningToken(t *testing.T) {
	t.Parallel()
	f := forge(t, gitlab.Config{Secrets: triggers.Secrets{{Value: "master", PerRepository: true}}})
	mac := hmac.New(sha256.New, []byte("master"))
	mac.Write([]byte("15"))
	scope, err := f.Verify(signed(triggers.Secret(mac.Sum(nil)), signedAt, nil), "15", nil)
	if want := (triggers.Scope{RepositoryID: "15"}); err != nil || !cmp.Equal(scope, want) {
		t.Errorf("got %+v, %v, want %+v", scope, err, want)
	}
}

func FuzzVerify(f *testing.F) {
	good := signed("s", signedAt, []byte("{}"))
	f.Add(good.Get("webhook-signature"), good.Get("webhook-timestamp"), "")
	f.Add("v1,", "", "t")
	f.Fuzz(func(t *testing.T, signature, timestamp, token string) {
		h := triggertest.Headers("webhook-id", "other", "webhook-timestamp", timestamp, "webhook-signature", signature, "X-Gitlab-Token", token)
		if _, err := forge(t, gitlab.Config{Secrets: triggers.Secrets{{Value: "secret"}}}).Verify(h, "", []byte("{}")); err == nil && token != "secret" {
			t.Error("believed")
		}
	})
}
