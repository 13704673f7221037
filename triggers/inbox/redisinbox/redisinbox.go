// Package redisinbox is an inbox in Redis: a delivery survives what Redis survives. The door, the planner, the reaper
// and the API call it; it calls Redis only, through one script a verb, and never looks into a body. docs/redis.md lists
// its keys. Deliveries that arrive together share a round trip, see Keep.
package redisinbox

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/triggers/inbox"
)

// What the inbox holds. All keys carry one hash tag, so that a script may touch any of them on a Redis Cluster.
const (
	prefix       = "{millrace}:inbox:"
	keyAll       = prefix + "all"
	keyUnplanned = prefix + "unplanned"
	keyBytes     = prefix + "bytes"
	keySeen      = prefix + "seen:"
	keyDelivery  = prefix + "delivery:"
)

// version is that of the hash which holds a delivery.
const version = "1"

var (
	//go:embed keep.lua
	keepSource string
	//go:embed settle.lua
	settleSource string
	//go:embed reopen.lua
	reopenSource string
	//go:embed list.lua
	listSource string
	//go:embed trim.lua
	trimSource string

	keepScript   = redis.NewScript(keepSource)
	settleScript = redis.NewScript(settleSource)
	reopenScript = redis.NewScript(reopenSource)
	listScript   = redis.NewScript(listSource)
	trimScript   = redis.NewScript(trimSource)
)

// Config is what an inbox needs.
type Config struct {
	// Rdb is the server. It should have maxmemory-policy noeviction, and persist as much as a 202 is to promise.
	Rdb redis.UniversalClient
	// Retention is how long deliveries are meant to be kept by whoever trims. A (forge, key) pair is known that long,
	// and inbox.DedupeFor at least.
	Retention time.Duration
}

// Validate reports all that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.Rdb == nil {
		errs = append(errs, errors.New("redisinbox: no Redis client"))
	}
	if c.Retention < 0 {
		errs = append(errs, fmt.Errorf("redisinbox: retention %v is negative", c.Retention))
	}
	return errors.Join(errs...)
}

// Inbox is an inbox.Inbox.
type Inbox struct {
	rdb   redis.UniversalClient
	known time.Duration // how long a pair is known
	line  line
}

// New returns the inbox that cfg describes. It makes no round trip.
func New(cfg Config) (*Inbox, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Inbox{rdb: cfg.Rdb, known: max(cfg.Retention, inbox.DedupeFor)}, nil
}

// Get is inbox.Inbox's, in one round trip.
func (i *Inbox) Get(ctx context.Context, id string) (inbox.Record, error) {
	fields, err := i.rdb.HMGet(ctx, keyDelivery+id, "v", "head", "planned", "form", "body").Result()
	if err != nil {
		return inbox.Record{}, fmt.Errorf("get delivery %q: %w", id, err)
	}
	if fields[0] == nil {
		return inbox.Record{}, fmt.Errorf("get delivery %q: %w", id, inbox.ErrNotFound)
	}
	r, err := record(fields[0], fields[1], fields[2])
	if err != nil {
		return inbox.Record{}, fmt.Errorf("get delivery %q: %w", id, err)
	}
	if r.Body, err = unpack(text(fields[3]), text(fields[4])); err != nil {
		return inbox.Record{}, fmt.Errorf("get delivery %q: %w", id, err)
	}
	return r, nil
}

// Settle is inbox.Inbox's, in one round trip.
func (i *Inbox) Settle(ctx context.Context, id string, o inbox.Outcome) error {
	outcome, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("settle delivery %q: %w", id, err)
	}
	kept, err := settleScript.Run(ctx, i.rdb, []string{keyDelivery + id, keyUnplanned}, id, outcome).Bool()
	if err != nil {
		return fmt.Errorf("settle delivery %q: %w", id, err)
	}
	if !kept {
		return fmt.Errorf("settle delivery %q: %w", id, inbox.ErrNotFound)
	}
	return nil
}

// Reopen is inbox.Inbox's, in one round trip.
func (i *Inbox) Reopen(ctx context.Context, id string) error {
	kept, err := reopenScript.Run(ctx, i.rdb, []string{keyDelivery + id, keyUnplanned}, id).Bool()
	if err == nil && !kept {
		err = inbox.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("reopen delivery %q: %w", id, err)
	}
	return nil
}

// Unplanned is inbox.Inbox's, in one round trip.
func (i *Inbox) Unplanned(ctx context.Context, limit int) ([]string, error) {
	if limit < 1 {
		return nil, nil
	}
	ids, err := i.rdb.ZRange(ctx, keyUnplanned, 0, int64(limit)-1).Result()
	if err != nil {
		return nil, fmt.Errorf("list unplanned deliveries: %w", err)
	}
	return ids, nil
}

// record reads the fields that every delivery has.
func record(v, head, planned any) (inbox.Record, error) {
	var r inbox.Record
	if text(v) != version {
		return r, fmt.Errorf("it was written as version %q and this Millrace reads %s: run the newer one", text(v), version)
	}
	if err := json.Unmarshal([]byte(text(head)), &r.Delivery); err != nil {
		return r, fmt.Errorf("read head: %w", err)
	}
	if planned == nil {
		return r, nil
	}
	if err := json.Unmarshal([]byte(text(planned)), &r.Planned); err != nil {
		return r, fmt.Errorf("read outcome: %w", err)
	}
	return r, nil
}

// text is a reply's string, "" for nil.
func text(reply any) string {
	s, _ := reply.(string)
	return s
}
