package triggers

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// Secrets are the webhook secrets of one forge. Several are valid at once, so that one can be replaced without losing
// a delivery.
type Secrets []WebhookSecret

// WebhookSecret is one value that a forge signs deliveries with, and what it may speak for.
type WebhookSecret struct {
	Value        Secret
	Repositories []string // globs over owner/name; none: all
	// PerRepository makes Value a master: each repository's hook is signed with DerivedSecret of its id, and names that
	// id in its address (?repository=ID).
	PerRepository bool
}

// maxClaim bounds, in bytes, the repository id that an address may name. Forges number their repositories.
const maxClaim = 64

// DerivedSecret is the secret of the repository that a forge calls id: the hex of HMAC-SHA256 with key master over id.
func DerivedSecret(master Secret, id string) Secret {
	return Secret(hex.EncodeToString(mac([]byte(master), []byte(id))))
}

// Verify returns what the secret that signed a delivery may speak for. matches tells, in constant time, whether a
// secret made the delivery's signature; every secret is tried whichever matched, so that the time tells nothing. claim
// is as in Source.Verify. Errors: ErrShut, ErrSignature.
func (s Secrets) Verify(claim string, matches func(secret []byte) bool) (Scope, error) {
	open, found, scope := false, false, Scope{}
	for _, secret := range s {
		value, id := secret.Value, ""
		if value == "" {
			continue
		}
		open = true
		if secret.PerRepository {
			if claim == "" || len(claim) > maxClaim {
				continue
			}
			value, id = DerivedSecret(secret.Value, claim), claim
		}
		if matches([]byte(value)) && !found {
			found, scope = true, Scope{Repositories: secret.Repositories, RepositoryID: id}
		}
	}
	switch {
	case !open:
		return Scope{}, fmt.Errorf("%w: add one to its webhook_secrets and to the hook", ErrShut)
	case !found:
		return Scope{}, fmt.Errorf("%w: none of the configured secrets signed this body", ErrSignature)
	}
	return scope, nil
}

// SignedSHA256 returns a function for Secrets.Verify: it tells whether signature is the hex of body's HMAC-SHA256.
func SignedSHA256(body []byte, signature string) func(secret []byte) bool {
	got, err := hex.DecodeString(signature)
	return func(secret []byte) bool {
		return hmac.Equal(mac(secret, body), got) && err == nil
	}
}

// Validate reports every empty or doubled value and every glob that validGlob refuses. It names secrets by their place
// in the list, never by value.
func (s Secrets) Validate(validGlob func(string) bool) error {
	var errs []error
	seen := map[Secret]int{}
	for i, secret := range s {
		if secret.Value == "" {
			errs = append(errs, fmt.Errorf("webhook_secrets[%d]: the secret is empty, and anybody could sign with it", i))
		} else if first, twice := seen[secret.Value]; twice {
			errs = append(errs, fmt.Errorf("webhook_secrets[%d]: the same secret as webhook_secrets[%d]; list its repositories there", i, first))
		} else {
			seen[secret.Value] = i
		}
		for _, glob := range secret.Repositories {
			if !validGlob(glob) {
				errs = append(errs, fmt.Errorf("webhook_secrets[%d]: %q is not a glob", i, glob))
			}
		}
	}
	return errors.Join(errs...)
}

func mac(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}
