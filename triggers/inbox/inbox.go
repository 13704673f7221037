// Package inbox keeps deliveries, and knows which of them are not planned yet. The door keeps, the planner settles, the
// reaper looks for what was forgotten, the page lists. This package is the contract; redisinbox, meminbox and
// bucketinbox (large bodies, in front of another) keep it, and inboxtest holds its laws. It never looks into a body.
package inbox

import (
	"context"
	"errors"
	"time"

	"github.com/millrace-ci/millrace/triggers"
)

// Errors that an Inbox returns, wrapped.
var (
	// ErrNotFound means that no such delivery is kept (any more).
	ErrNotFound = errors.New("no such delivery")
	// ErrCursor means that the cursor is none that List returned.
	ErrCursor = errors.New("no such place in the list of deliveries")
)

// Inbox keeps deliveries. All methods are safe for concurrent use and idempotent.
type Inbox interface {
	// Keep stores d and, when it has a body (d.Body is not nil, or d.Object names it), puts it in the list of unplanned
	// deliveries, all in one step. A delivery with the (Forge, Key) of a kept one is a duplicate: nothing changes. When
	// Keep returns nil the delivery survives what the inbox promises to survive. It does not hold on to d.Body.
	Keep(ctx context.Context, d triggers.Delivery) (Receipt, error)
	// Get returns one delivery with its body. Errors: ErrNotFound.
	Get(ctx context.Context, id string) (Record, error)
	// Settle takes the delivery off the list of unplanned ones and notes what became of it. Errors: ErrNotFound.
	Settle(ctx context.Context, id string, o Outcome) error
	// Reopen is the reverse of Settle: it forgets what became of the delivery, and puts it in the list of unplanned ones
	// again, in its old place. One that nobody settled stays as it is. Errors: ErrNotFound.
	Reopen(ctx context.Context, id string) error
	// Unplanned lists at most limit ids that nobody settled, oldest first.
	Unplanned(ctx context.Context, limit int) ([]string, error)
	// List lists kept deliveries without their bodies, newest first, at most limit, beginning after cursor ("" = from
	// the newest). next is "" at the end. A cursor stays good whatever is kept or forgotten meanwhile. Errors: ErrCursor.
	List(ctx context.Context, cursor string, limit int) (records []Record, next string, err error)
	// Trim forgets settled deliveries older than before, and then the oldest settled ones until at most maxBytes of
	// bodies are kept (as stored, without those in a bucket; 0 = no bound). It never forgets an unplanned one, and
	// keeps the (Forge, Key) pairs known for at least DedupeFor. It returns how many it forgot.
	Trim(ctx context.Context, before time.Time, maxBytes int64) (int, error)
}

// DedupeFor is how long a (Forge, Key) pair is known at least: GitHub can be asked to redeliver for 3 days.
const DedupeFor = 80 * time.Hour

// Receipt says what became of a delivery at the door.
type Receipt struct {
	ID        string // of the delivery that is kept: this one or, for a duplicate, the first
	Duplicate bool
}

// Outcome says what the planner made of a delivery.
type Outcome struct {
	At      time.Time `json:"at"`
	Ignored bool      `json:"ignored,omitempty"` // there was nothing to act on, for the reason in Error
	First   string    `json:"first,omitempty"`   // the delivery that told of the same before: this one was ignored as its duplicate
	Error   string    `json:"error,omitempty"`   // why it could not be understood, or was ignored; "" when it was planned
}

// Record is a kept delivery and what became of it.
type Record struct {
	triggers.Delivery
	Planned *Outcome // nil: not planned yet, or (without a body) nothing to plan
}
