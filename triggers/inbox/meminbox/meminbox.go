// Package meminbox is an inbox in memory. Tests use it, and whoever runs a pipeline without a server; it keeps what it
// is given until the process ends and promises to survive nothing. It calls nobody.
package meminbox

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// Inbox is an inbox.Inbox. The zero value is not ready: see New.
type Inbox struct {
	mu      sync.Mutex
	seen    map[pair]sighting
	records map[string]*record
	sorted  []*record // oldest first
	bytes   int64     // of all bodies
}

type pair struct{ forge, key string }

type sighting struct {
	id string
	at time.Time
}

type record struct {
	inbox.Record
	unplanned bool
}

// New returns an empty inbox.
func New() *Inbox {
	return &Inbox{seen: map[pair]sighting{}, records: map[string]*record{}}
}

// Keep is inbox.Inbox's.
func (i *Inbox) Keep(ctx context.Context, d triggers.Delivery) (inbox.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return inbox.Receipt{}, fmt.Errorf("keep delivery: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if first, ok := i.seen[pair{d.Forge, d.Key}]; ok {
		return inbox.Receipt{ID: first.id, Duplicate: true}, nil
	}
	i.seen[pair{d.Forge, d.Key}] = sighting{d.ID, time.Now()}
	r := &record{Record: inbox.Record{Delivery: clone(d)}, unplanned: d.Body != nil || d.Object != ""}
	place, _ := slices.BinarySearchFunc(i.sorted, r, older)
	i.sorted = slices.Insert(i.sorted, place, r)
	i.records[d.ID] = r
	i.bytes += int64(len(d.Body))
	return inbox.Receipt{ID: d.ID}, nil
}

// Get is inbox.Inbox's.
func (i *Inbox) Get(_ context.Context, id string) (inbox.Record, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	r, ok := i.records[id]
	if !ok {
		return inbox.Record{}, fmt.Errorf("get delivery %q: %w", id, inbox.ErrNotFound)
	}
	return inbox.Record{Delivery: clone(r.Delivery), Planned: r.Planned}, nil
}

// Settle is inbox.Inbox's.
func (i *Inbox) Settle(_ context.Context, id string, o inbox.Outcome) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	r, ok := i.records[id]
	if !ok {
		return fmt.Errorf("settle delivery %q: %w", id, inbox.ErrNotFound)
	}
	r.unplanned, r.Planned = false, &o
	return nil
}

// Reopen is inbox.Inbox's.
func (i *Inbox) Reopen(_ context.Context, id string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	r, ok := i.records[id]
	if !ok {
		return fmt.Errorf("reopen delivery %q: %w", id, inbox.ErrNotFound)
	}
	r.unplanned, r.Planned = r.unplanned || r.Planned != nil, nil
	return nil
}

// Unplanned is inbox.Inbox's.
func (i *Inbox) Unplanned(_ context.Context, limit int) ([]string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var ids []string
	for _, r := range i.sorted {
		if r.unplanned && len(ids) < limit {
			ids = append(ids, r.ID)
		}
	}
	return ids, nil
}

// List is inbox.Inbox's. A cursor is the time and the id of the last delivery that was listed.
func (i *Inbox) List(_ context.Context, cursor string, limit int) (records []inbox.Record, next string, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	end := len(i.sorted)
	if cursor != "" {
		last, err := place(cursor)
		if err != nil {
			return nil, "", err
		}
		end, _ = slices.BinarySearchFunc(i.sorted, last, older)
	}
	if limit < 1 {
		return nil, "", nil
	}
	for _, r := range slices.Backward(i.sorted[:end]) {
		if len(records) == limit {
			last := records[limit-1]
			return records, fmt.Sprintf("%d-%s", last.At.UnixNano(), last.ID), nil
		}
		d := r.Delivery
		d.Body = nil
		records = append(records, inbox.Record{Delivery: clone(d), Planned: r.Planned})
	}
	return records, "", nil
}

// Trim is inbox.Inbox's.
func (i *Inbox) Trim(_ context.Context, before time.Time, maxBytes int64) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	had := len(i.sorted)
	i.sorted = slices.DeleteFunc(i.sorted, func(r *record) bool {
		if r.unplanned || !r.At.Before(before) && (maxBytes == 0 || i.bytes <= maxBytes) {
			return false
		}
		i.bytes -= int64(len(r.Body))
		delete(i.records, r.ID)
		return true
	})
	for p, s := range i.seen {
		if i.records[s.id] == nil && time.Since(s.at) > inbox.DedupeFor {
			delete(i.seen, p)
		}
	}
	return had - len(i.sorted), nil
}

// older orders by time, and by id where the time is the same.
func older(a, b *record) int {
	return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID))
}

// place reads a cursor.
func place(cursor string) (*record, error) {
	at, id, ok := strings.Cut(cursor, "-")
	nanos, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil {
		return nil, fmt.Errorf("list deliveries from %q: %w", cursor, inbox.ErrCursor)
	}
	return &record{Record: inbox.Record{Delivery: triggers.Delivery{ID: id, At: time.Unix(0, nanos)}}}, nil
}

// clone shares nothing with d, so that neither side can change what the other holds.
func clone(d triggers.Delivery) triggers.Delivery {
	d.Header = d.Header.Clone()
	d.Body = bytes.Clone(d.Body)
	d.Scope.Repositories = slices.Clone(d.Scope.Repositories)
	return d
}
