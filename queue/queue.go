// Package queue is the room that remembers what is to be done: a durable line of items and time-bound rights to work
// on them. The agent pushes references and leases them again; redisq and memq keep the contract, queuetest holds its
// laws. A queue knows nothing of what its items mean, and keeps no state of the work: that is the store's.
package queue

import (
	"context"
	"errors"
	"time"
)

// ErrLeaseLost means that the lease ended before the call: it ran out and somebody else may hold the item, or it was
// acknowledged or returned already. The holder stops working on the item and must not change anything more.
var ErrLeaseLost = errors.New("lease lost")

// Errors of the list of the dead.
var (
	// ErrNotFound means that no such item is in the list (any more).
	ErrNotFound = errors.New("not among the dead")
	// ErrCursor means that the cursor is none that Dead returned.
	ErrCursor = errors.New("no such place in the list of the dead")
)

// Bounds of the list of the dead. Each burial forgets what is over them, the oldest first.
const (
	KeepDead = 30 * 24 * time.Hour // how long a buried item is listed
	MaxDead  = 1000                // how many are, in each line
	MaxWhy   = 4 << 10             // bytes of a reason; the rest of it is cut off
)

// Queue is a line of items of type T, handed out at least once and to one holder at a time. All methods are safe for
// concurrent use.
type Queue[T any] interface {
	// Push puts items last in line, in one round trip. An item whose ID is in line already, leased or not, is left as
	// it is: pushing twice is pushing once.
	Push(ctx context.Context, items ...Item[T]) error
	// Lease waits until at least one item is free and returns at most limit of them, oldest first, each leased to
	// worker for the queue's lease time. Items whose lease ran out come before new ones. It returns ctx's error soon
	// after ctx ends, and then no item is left leased by this call. worker names one process and is never reused while an earlier lease of
	// that name may be held.
	Lease(ctx context.Context, worker string, limit int) ([]Lease[T], error)
	// Renew makes each lease last its full time from now, all in one round trip, and returns those that are lost.
	Renew(ctx context.Context, leases ...Lease[T]) (lost []Lease[T], err error)
	// Ack takes the item out of the line: it is done. Errors: ErrLeaseLost.
	Ack(ctx context.Context, l Lease[T]) error
	// Return ends the lease and frees the item for anybody: at once when after is 0, else not before after has passed (at most
	// the lease time). Errors: ErrLeaseLost.
	Return(ctx context.Context, l Lease[T], after time.Duration) error
	// Bury takes the item out of the line and puts it in the list of the dead, with why: nobody tries it again by itself.
	// The list is a record and no part of the line. It keeps nobody from pushing the item again, which whoever still wants
	// it does; one that is buried again stands in it once, as it was last. Errors: ErrLeaseLost.
	Bury(ctx context.Context, l Lease[T], why string) error
	// Dead lists buried items, the last one first, at most limit, beginning after cursor ("" = from the last). next is ""
	// at the end. A cursor stays good whatever is buried or forgotten meanwhile. Errors: ErrCursor.
	Dead(ctx context.Context, cursor string, limit int) (items []Dead[T], next string, err error)
	// Forget takes an item off the list of the dead, as it stands there with token: one that was buried again since stays.
	// Errors: ErrNotFound.
	Forget(ctx context.Context, id, token string) error
	// Len counts the items in line.
	Len(ctx context.Context) (Length, error)
}

// Item is something in line. ID is unique while it is in line. Value is a reference, small and stable as JSON.
type Item[T any] struct {
	ID    string
	Value T
}

// Lease is a worker's time-bound right to one item. It is a plain value: print it, copy it, compare its Token.
type Lease[T any] struct {
	Item   Item[T]
	Worker string
	Token  string    // which handing-out of the item this is; opaque
	Tries  int       // how often the item was handed out, this time included; from 1
	Pushed time.Time // when it was put in line, by the queue's clock
}

// Dead is an item that was buried.
type Dead[T any] struct {
	Item   Item[T] // its Value is the zero one where it cannot be read: then Why says so
	Token  string  // which burial of the item this is; opaque
	Why    string
	Tries  int // how often it was handed out
	Pushed time.Time
	Buried time.Time
}

// Length is how many items stand in a line.
type Length struct {
	Ready  int // free, or waiting for their time after a Return
	Leased int
}
