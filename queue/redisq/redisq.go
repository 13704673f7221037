// Package redisq keeps a line in Redis Streams, so that any number of agents share it and none of them owns it. The
// binary makes one Queue per line; the agent's loops lease from it; it calls Redis 7.0 or later. It refuses to keep
// state of the work, and to run on a server that evicts keys.
//
// A line is a stream with one consumer group and a hash of the ids in line. An entry is in the stream while its item is
// in line: an acknowledged one is deleted. A lease is an entry in the group's pending list; it runs out when the entry
// has been idle for the lease time, and stays its holder's until somebody else leases it. The list of the dead is a stream
// of its own, with a hash of its ids. docs/redis.md lists the keys.
package redisq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/queue"
)

const (
	defaultLeaseTime = 10 * time.Second
	minLeaseTime     = 10 * time.Millisecond
)

var lineName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// Config is which line a Queue is and how it behaves.
type Config struct {
	Name      string         // the line's name, used in its keys: letters, digits, dot, dash and underscore, at most 128
	Kind      string         // the label of its numbers: plan, work or report
	LeaseTime time.Duration  // how long a lease lasts unless it is renewed; 0: 10 s
	Metrics   *metrics.Queue // nil: nobody counts
	Log       *slog.Logger   // told of entries that cannot be read; nil: nobody is told
}

// Validate reports all that is wrong with c at once.
func (c Config) Validate() error {
	var errs []error
	if !lineName.MatchString(c.Name) {
		errs = append(errs, fmt.Errorf("name is %q, want letters, digits, dots, dashes and underscores, at most 128", c.Name))
	}
	if c.Kind == "" {
		errs = append(errs, errors.New("kind is missing, want plan, work or report"))
	}
	if c.LeaseTime != 0 && c.LeaseTime < minLeaseTime {
		errs = append(errs, fmt.Errorf("lease time is %v, want at least %v", c.LeaseTime, minLeaseTime))
	}
	return errors.Join(errs...)
}

// Queue keeps the contract of queue.Queue. It survives the loss of its keys and of its group: what is pushed afterwards,
// and what is still in the stream, is in line.
type Queue[T any] struct {
	cfg           Config
	rdb           redis.UniversalClient
	stream, ids   string
	dead, deadIDs string
	acks          acks
	lastSweep     atomic.Int64 // Unix nanoseconds
}

// New returns the queue of the line that cfg names. It does not speak to the server. rdb is a *redis.Client or a
// *redis.ClusterClient; each Lease that waits holds one connection of its pool.
func New[T any](rdb redis.UniversalClient, cfg Config) (*Queue[T], error) {
	switch rdb.(type) {
	case *redis.Client, *redis.ClusterClient:
	default:
		return nil, fmt.Errorf("queue %s: redis client is a %T, want a client of one server or of a cluster", cfg.Name, rdb)
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	if cfg.LeaseTime == 0 {
		cfg.LeaseTime = defaultLeaseTime
	}
	if cfg.Metrics == nil {
		cfg.Metrics = metrics.NewQueue(prometheus.NewRegistry(), cfg.Kind)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	stream := "{millrace}:queue:" + cfg.Name
	return &Queue[T]{cfg: cfg, rdb: rdb, stream: stream, ids: stream + ":ids", dead: stream + ":dead", deadIDs: stream + ":dead:ids"}, nil
}

// Push keeps the contract. One round trip.
func (q *Queue[T]) Push(ctx context.Context, items ...queue.Item[T]) error {
	if len(items) == 0 {
		return nil
	}
	args := make([]any, 0, 2*len(items))
	for _, item := range items {
		if item.ID == "" {
			return fmt.Errorf("push to queue %s: an item has no id", q.cfg.Name)
		}
		value, err := json.Marshal(item.Value)
		if err != nil {
			return fmt.Errorf("push %s to queue %s: %w", item.ID, q.cfg.Name, err)
		}
		args = append(args, item.ID, value)
	}
	if err := pushScript.Run(ctx, q.rdb, []string{q.stream, q.ids}, args...).Err(); err != nil {
		return fmt.Errorf("push to queue %s: %w", q.cfg.Name, err)
	}
	return nil
}

// Renew keeps the contract. One round trip, none without leases.
func (q *Queue[T]) Renew(ctx context.Context, leases ...queue.Lease[T]) (lost []queue.Lease[T], err error) {
	if len(leases) == 0 {
		return nil, nil
	}
	args := make([]any, 0, 3*len(leases))
	for _, l := range leases {
		entry, deliveries := splitToken(l.Token)
		args = append(args, l.Worker, entry, deliveries)
	}
	places, err := renewScript.Run(ctx, q.rdb, []string{q.stream}, args...).Int64Slice()
	if err != nil {
		return nil, fmt.Errorf("renew leases of queue %s: %w", q.cfg.Name, err)
	}
	for _, i := range places {
		lost = append(lost, leases[i])
	}
	q.cfg.Metrics.LeasesLost(q.cfg.Kind, len(lost))
	return lost, nil
}

// Return keeps the contract. One round trip. An item returned at once is leased at once, also by a Lease that waits
// already; one returned for later is noticed at most a second after its time.
func (q *Queue[T]) Return(ctx context.Context, l queue.Lease[T], after time.Duration) error {
	after = min(max(after, 0), q.cfg.LeaseTime)
	entry, deliveries := splitToken(l.Token)
	args := []any{l.Worker, entry, deliveries, milliseconds(after), milliseconds(q.cfg.LeaseTime)}
	held, err := returnScript.Run(ctx, q.rdb, []string{q.stream, q.ids}, args...).Bool()
	if err == nil && !held {
		q.cfg.Metrics.LeasesLost(q.cfg.Kind, 1)
		err = queue.ErrLeaseLost
	}
	if err != nil {
		return fmt.Errorf("return %s in queue %s: %w", l.Item.ID, q.cfg.Name, err)
	}
	return nil
}

// Len keeps the contract. One round trip.
func (q *Queue[T]) Len(ctx context.Context) (queue.Length, error) {
	counts, err := lenScript.Run(ctx, q.rdb, []string{q.stream}, milliseconds(q.cfg.LeaseTime)).Int64Slice()
	if err != nil {
		return queue.Length{}, fmt.Errorf("count queue %s: %w", q.cfg.Name, err)
	}
	return queue.Length{Ready: int(counts[0] - counts[1]), Leased: int(counts[1])}, nil
}

// splitToken takes a token apart: the entry, and which of its deliveries this lease is. A token of another kind of queue
// names an entry that never was.
func splitToken(token string) (entry, deliveries string) {
	entry, deliveries, ok := strings.Cut(token, "/")
	if !ok {
		return "0-0", "0"
	}
	return entry, deliveries
}

// milliseconds rounds up: what is asked to wait never waits less.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
