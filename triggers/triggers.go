// Package triggers is the room that hears: its words are Delivery (the bytes a forge sent), Event (what they mean, in
// the same words whichever forge spoke) and Source (who turns the one into the other). The door and the inbox keep
// deliveries, a forge's package is a Source, and the planner in package agent asks it to parse. This package is only
// the contract: it does no I/O and imports nothing but the standard library.
package triggers

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"net/http"
	"strings"
	"time"
)

// Errors that a Source returns. Each is wrapped with what the sender should do about it.
var (
	// ErrShut means that no webhook secret is configured, so nothing can be verified and everything is refused.
	ErrShut = errors.New("no webhook secret is configured for this forge")
	// ErrSignature means that no configured secret signed these bytes.
	ErrSignature = errors.New("signature does not match")
	// ErrHeading means that the headers do not say what the delivery is, or that it came to the wrong door.
	ErrHeading = errors.New("not a webhook of this forge")
	// ErrPayload means that the body is not what its headers promise: no JSON, a missing field, an impossible name.
	ErrPayload = errors.New("payload cannot be understood")
	// ErrIgnored means that the delivery is sound and tells nothing that a pipeline can ask for.
	ErrIgnored = errors.New("nothing to act on")
	// ErrPermanent means that trying again will not mend it: no such repository or commit, a definition that is too big.
	ErrPermanent = errors.New("trying again will not help")
	// ErrScope means that the secret that signed the delivery may not speak for the repository in it.
	ErrScope = errors.New("signed with another repository's secret")
)

// Source verifies the deliveries of one kind of forge and turns them into events. It is pure: no I/O, and no clock but
// the one that it was made with, which only Verify asks, where a signature expires.
type Source interface {
	// Verify tells whether one of the configured secrets signed body, in constant time, and what that secret may
	// speak for. claim is the repository id that the hook's address names (?repository=ID), "" if none: it chooses a
	// derived secret and proves nothing by itself. Errors: ErrShut, ErrSignature.
	Verify(h http.Header, claim string, body []byte) (Scope, error)
	// Heading reads from the headers alone what the delivery is. Errors: ErrHeading.
	Heading(h http.Header) (Heading, error)
	// Parse turns a kept delivery into an Event whose ID and Delivery are d.ID and whose Forge is d.Forge. Errors:
	// ErrPayload, ErrScope, and ErrIgnored with the reason. It must not panic, whatever the body.
	Parse(d Delivery) (Event, error)
}

// Heading is what the headers of a delivery say.
type Heading struct {
	Kind string // as the forge names it: "push", "pull_request"
	Key  string // the forge's own id of the delivery; a redelivery has the same
	Hook string // which hook sent it, "" where the forge does not say
	Acts bool   // whether Parse can make an event of this kind; if not, only the headers are kept
}

// Scope is what a secret may speak for. The zero Scope is every repository.
type Scope struct {
	Repositories []string `json:"repositories,omitempty"`  // globs over owner/name; none: all
	RepositoryID string   `json:"repository_id,omitempty"` // the forge's id, for a derived secret; "": any
}

// Delivery is what a forge sent, kept so that it can be replayed.
type Delivery struct {
	ID      string      `json:"id"`                // see DeliveryID
	Forge   string      `json:"forge"`             // name of the configured forge
	Key     string      `json:"key"`               // the forge's own id, see Heading
	Kind    string      `json:"kind"`              // see Heading
	Hook    string      `json:"hook,omitempty"`    // see Heading
	Header  http.Header `json:"header,omitempty"`  // what a replay needs, never a signature or a secret
	Body    []byte      `json:"-"`                 // the JSON, after form decoding; nil for a kind that is not acted on
	Object  string      `json:"object,omitempty"`  // where Body lies while it is in the bucket; only bucketinbox sets it
	Ignored string      `json:"ignored,omitempty"` // why only its headers are kept, "" when it has a body
	Scope   Scope       `json:"scope"`             // what the secret that signed it may speak for
	At      time.Time   `json:"at"`                // when the door had read it
}

// DeliveryID names the delivery that a forge calls key: "d" and 16 characters of [a-z2-7], the same for a redelivery.
func DeliveryID(forge, key string) string {
	return "d" + Digest(16, "delivery", forge, key)
}

// Digest is n characters of [a-z2-7] (base32, lower case, 5 bits each, n at most 51) from the SHA-256 of parts. Each
// part is preceded by its length, so that no two lists of parts read alike.
func Digest(n int, parts ...string) string {
	h := sha256.New()
	var size [8]byte
	for _, p := range parts {
		for i, l := 0, len(p); i < len(size); i, l = i+1, l>>8 {
			size[i] = byte(l)
		}
		h.Write(size[:])
		h.Write([]byte(p))
	}
	sum := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil))
	return strings.ToLower(sum[:n])
}
