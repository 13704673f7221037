package triggers_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/triggers"
)

func TestEverySecretIsTried(t *testing.T) {
	t.Parallel()
	secrets := triggers.Secrets{{Value: "a", Repositories: []string{"x/*"}}, {Value: ""}, {Value: "b"}, {Value: "master", PerRepository: true}}
	var tried []string
	scope, err := secrets.Verify("7", func(secret []byte) bool {
		tried = append(tried, string(secret))
		return bytes.Equal(secret, []byte("a")) || bytes.Equal(secret, []byte("b"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := (triggers.Scope{Repositories: []string{"x/*"}}); !cmp.Equal(scope, want) {
		t.Errorf("scope: got %+v, want that of the first that matches, %+v", scope, want)
	}
	if want := []string{"a", "b", string(triggers.DerivedSecret("master", "7"))}; !cmp.Equal(tried, want) {
		t.Errorf("tried: got %v, want %v", tried, want)
	}
}

// TestEmptySecretsShutTheDoor keeps an empty value, which anybody could sign with, from being a secret.
func TestEmptySecretsShutTheDoor(t *testing.T) {
	t.Parallel()
	yes := func([]byte) bool { return true }
	for _, s := range []triggers.Secrets{nil, {}, {{}}, {{PerRepository: true}}} {
		if _, err := s.Verify("7", yes); !errors.Is(err, triggers.ErrShut) {
			t.Errorf("%v: got %v, want %v", s, err, triggers.ErrShut)
		}
	}
}

func TestSignedSHA256(t *testing.T) {
	t.Parallel()
	// RFC 4231, test case 2.
	const key, message, signature = "Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
	if !triggers.SignedSHA256([]byte(message), signature)([]byte(key)) {
		t.Error("the right signature is refused")
	}
	for _, wrong := range []string{"", "00", signature[:62], signature + "00", strings.Repeat("0", 64), signature[:63] + "x", signature + "z", signature + "0"} {
		if triggers.SignedSHA256([]byte(message), wrong)([]byte(key)) {
			t.Errorf("signature %q is accepted", wrong)
		}
	}
}

func TestSecretsValidate(t *testing.T) {
	t.Parallel()
	glob := func(s string) bool { return s != "[" }
	bad := triggers.Secrets{{Value: "hush"}, {Value: ""}, {Value: "hush"}, {Value: "x", Repositories: []string{"ok/*", "["}}}
	err := bad.Validate(glob)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"webhook_secrets[1]", "webhook_secrets[2]", "webhook_secrets[3]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to name %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "hush") {
		t.Errorf("the error tells a secret: %v", err)
	}
	if err := bad[:1].Validate(glob); err != nil {
		t.Error(err)
	}
}
