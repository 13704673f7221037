package agent

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/triggers"
)

// Kinds of the deliveries that no forge sent.
const (
	kindRecovered = "recovered" // a push that none told, and a look found
	kindReplay    = "replay"    // somebody asked for it
)

// ownKey is how the keys of our own deliveries begin. No Heading lets a colon through, so nobody else can send one.
const ownKey = "millrace:"

// ownForm is the version of own.
const ownForm = 1

// own is the body of a delivery that is ours: the event as it is to be planned, but for its ids.
type own struct {
	Version int            `json:"version"`
	Event   triggers.Event `json:"event"`
	Cause   run.Cause      `json:"cause,omitzero"` // none: the delivery itself
}

// ownDelivery makes a delivery of an event that no forge tells. key says which it is, so that it is kept once.
func (a *Agent) ownDelivery(kind, key string, o own) (triggers.Delivery, error) {
	o.Version = ownForm
	body, err := json.Marshal(o)
	if err != nil {
		return triggers.Delivery{}, fmt.Errorf("write %s: %w", kind, err)
	}
	key = ownKey + kind + ":" + key
	forge := o.Event.Forge
	return triggers.Delivery{ID: triggers.DeliveryID(forge, key), Forge: forge, Key: key, Kind: kind, Body: body, At: a.now()}, nil
}

// readOwn reads a delivery of ours. Errors: triggers.ErrPayload.
func readOwn(d triggers.Delivery) (triggers.Event, run.Cause, error) {
	var o own
	if err := json.Unmarshal(d.Body, &o); err != nil {
		return triggers.Event{}, run.Cause{}, fmt.Errorf("%w: %w", triggers.ErrPayload, err)
	}
	if o.Version != ownForm {
		return triggers.Event{}, run.Cause{}, fmt.Errorf("%w: it is in form %d and this Millrace reads %d: run the newer one that wrote it",
			triggers.ErrPayload, o.Version, ownForm)
	}
	e := o.Event
	e.ID, e.Delivery, e.Forge = d.ID, d.ID, d.Forge
	if o.Cause == (run.Cause{}) {
		o.Cause = run.Cause{Kind: causeDelivery, ID: d.ID}
	}
	return e, o.Cause, nil
}

// isOwn tells whether a delivery is ours.
func isOwn(d triggers.Delivery) bool { return strings.HasPrefix(d.Key, ownKey) }
