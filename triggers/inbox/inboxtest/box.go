package inboxtest

import (
	"testing"
	"time"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// box asks an inbox and takes no error for an answer.
type box struct {
	t  *testing.T
	in inbox.Inbox
}

func (b box) keep(d triggers.Delivery) inbox.Receipt {
	b.t.Helper()
	r, err := b.in.Keep(b.t.Context(), d)
	if err != nil {
		b.t.Fatalf("keep %s: %v", d.ID, err)
	}
	return r
}

func (b box) get(id string) inbox.Record {
	b.t.Helper()
	r, err := b.in.Get(b.t.Context(), id)
	if err != nil {
		b.t.Fatalf("get %s: %v", id, err)
	}
	return r
}

func (b box) settle(id string, o inbox.Outcome) {
	b.t.Helper()
	if err := b.in.Settle(b.t.Context(), id, o); err != nil {
		b.t.Fatalf("settle %s: %v", id, err)
	}
}

func (b box) reopen(id string) {
	b.t.Helper()
	if err := b.in.Reopen(b.t.Context(), id); err != nil {
		b.t.Fatalf("reopen %s: %v", id, err)
	}
}

func (b box) unplanned(limit int) []string {
	b.t.Helper()
	ids, err := b.in.Unplanned(b.t.Context(), limit)
	if err != nil {
		b.t.Fatalf("unplanned: %v", err)
	}
	return ids
}

func (b box) list(cursor string, limit int) ([]inbox.Record, string) {
	b.t.Helper()
	records, next, err := b.in.List(b.t.Context(), cursor, limit)
	if err != nil {
		b.t.Fatalf("list from %q: %v", cursor, err)
	}
	return records, next
}

// all is the ids of everything that is listed, newest first.
func (b box) all() []string {
	b.t.Helper()
	records, _ := b.list("", 1000)
	ids := make([]string, len(records))
	for i, r := range records {
		ids[i] = r.ID
	}
	return ids
}

func (b box) trim(before time.Time, maxBytes int64) int {
	b.t.Helper()
	n, err := b.in.Trim(b.t.Context(), before, maxBytes)
	if err != nil {
		b.t.Fatalf("trim: %v", err)
	}
	return n
}
