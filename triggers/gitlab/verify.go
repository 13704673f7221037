package gitlab

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/triggers"
)

// freshness is how far a signed delivery's time may be from ours, as the Standard Webhooks specification advises.
const freshness = 5 * time.Minute

// signingPrefix marks a secret that is the base64 of its key.
const signingPrefix = "whsec_"

// Verify implements triggers.Source. A delivery is believed for its X-Gitlab-Token, which is the secret itself, or for a
// webhook-signature that is not older or newer than 5 minutes. Where a hook sends both, one is enough: whoever has the
// token could leave the signature out.
func (f *Forge) Verify(h http.Header, claim string, body []byte) (triggers.Scope, error) {
	token := sha256.Sum256([]byte(h.Get("X-Gitlab-Token")))
	signed, stale := f.signed(h, body)
	scope, err := f.cfg.Secrets.Verify(claim, func(secret []byte) bool {
		// Digests are of one length, so that the time does not tell that of a secret.
		digest := sha256.Sum256(secret)
		plain := hmac.Equal(digest[:], token[:])
		return signed(secret) || plain
	})
	if errors.Is(err, triggers.ErrSignature) && stale != nil {
		return scope, fmt.Errorf("%w, and %w", err, stale)
	}
	return scope, err
}

// signed returns a function for Secrets.Verify: it tells whether a secret made one of the signatures of a Standard
// Webhooks delivery (webhook-signature: a list of 'v1,BASE64', each the HMAC-SHA256 of 'ID.TIMESTAMP.BODY'). Source:
// github.com/standard-webhooks/standard-webhooks, spec, 'Verifying webhook authenticity'. stale tells why the delivery's
// time is not accepted; then no secret is.
func (f *Forge) signed(h http.Header, body []byte) (matches func(secret []byte) bool, stale error) {
	id, timestamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	var signatures [][]byte
	for s := range strings.FieldsSeq(h.Get("webhook-signature")) {
		if encoded, ok := strings.CutPrefix(s, "v1,"); ok {
			if mac, err := base64.StdEncoding.DecodeString(encoded); err == nil {
				signatures = append(signatures, mac)
			}
		}
	}
	if len(signatures) == 0 {
		return func([]byte) bool { return false }, nil
	}
	if err := f.fresh(timestamp); err != nil {
		return func([]byte) bool { return false }, err
	}
	return func(secret []byte) bool {
		mac := hmac.New(sha256.New, signingKey(secret))
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		sum, found := mac.Sum(nil), false
		for _, s := range signatures {
			found = hmac.Equal(sum, s) || found
		}
		return found
	}, nil
}

// fresh tells why a delivery that was signed at timestamp, in seconds since 1970, is not accepted now.
func (f *Forge) fresh(timestamp string) error {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return errors.New("its webhook-timestamp is no number of seconds")
	}
	if age := f.cfg.Now().Sub(time.Unix(seconds, 0)); age.Abs() > freshness {
		return fmt.Errorf("its webhook-timestamp is %s from this clock, more than %s: is one of the clocks wrong?", age.Abs().Round(time.Second), freshness)
	}
	return nil
}

// signingKey is what a secret signs with: what it is the base64 of behind 'whsec_', which is the only form that GitLab's
// signing tokens have; the 32 bytes of a secret that is their hex, as triggers.DerivedSecret is; else the secret as it
// is. GitLab wants 32 bytes, so a derived secret's signing token is 'whsec_' and the base64 of those.
func signingKey(secret []byte) []byte {
	if encoded, ok := strings.CutPrefix(string(secret), signingPrefix); ok {
		// An empty key would be everybody's.
		if key, err := base64.StdEncoding.DecodeString(encoded); err == nil && len(key) > 0 {
			return key
		}
	}
	if key, err := hex.DecodeString(string(secret)); err == nil && len(key) == sha256.Size {
		return key
	}
	return secret
}
