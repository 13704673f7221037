package redisinbox

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/millrace-ci/millrace/triggers/inbox"
)

const (
	maxPage   = 1000 // deliveries that one List reads at most
	trimCount = 256  // deliveries that one script looks at when it trims
)

// member is what stands in the list of all deliveries, and what List hands out as a cursor.
var member = regexp.MustCompile(`^[0-9a-f]{16}.`)

// List is inbox.Inbox's, in one round trip. It reads at most 1,000 deliveries whatever limit says.
func (i *Inbox) List(ctx context.Context, cursor string, limit int) ([]inbox.Record, string, error) {
	from := "+"
	if cursor != "" {
		if !member.MatchString(cursor) {
			return nil, "", fmt.Errorf("list deliveries from %q: %w", cursor, inbox.ErrCursor)
		}
		from = "(" + cursor
	}
	limit = min(limit, maxPage)
	if limit < 1 {
		return nil, "", nil
	}
	// One more than asked for tells whether this is the end.
	page, err := listScript.Run(ctx, i.rdb, []string{keyAll}, keyDelivery, from, limit+1).Slice()
	if err != nil {
		return nil, "", fmt.Errorf("list deliveries: %w", err)
	}
	next := ""
	if len(page) > limit {
		page = page[:limit]
		next = text(page[limit-1].([]any)[0])
	}
	records := make([]inbox.Record, 0, len(page))
	for _, row := range page {
		r, err := listed(row.([]any))
		if err != nil {
			return nil, "", err
		}
		records = append(records, r)
	}
	return records, next, nil
}

// listed reads one row of list.lua.
func listed(row []any) (inbox.Record, error) {
	r, err := record(row[1], row[2], row[3])
	if err != nil {
		return r, fmt.Errorf("list delivery %q: %w", text(row[0])[16:], err)
	}
	return r, nil
}

// Trim is inbox.Inbox's, in one round trip for every 256 deliveries that it looks at: those it forgets, and those of
// the same age that are not settled.
func (i *Inbox) Trim(ctx context.Context, before time.Time, maxBytes int64) (int, error) {
	keys := []string{keyAll, keyUnplanned, keyBytes}
	forgotten := 0
	for from := "-"; ; {
		reply, err := trimScript.Run(ctx, i.rdb, keys, keyDelivery, from, since(before), maxBytes, trimCount).Slice()
		if err != nil {
			return forgotten, fmt.Errorf("trim deliveries: %w", err)
		}
		n, last, err := trimmed(reply)
		forgotten += n
		if err != nil || last == "" {
			return forgotten, err
		}
		from = "(" + last
	}
}

// trimmed reads the reply of trim.lua.
func trimmed(reply []any) (forgotten int, last string, err error) {
	if len(reply) == 2 {
		n, isNumber := reply[0].(int64)
		last, isText := reply[1].(string)
		if isNumber && isText {
			return int(n), last, nil
		}
	}
	return 0, "", errors.New("trim deliveries: redis gave a strange answer")
}
