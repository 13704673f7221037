package main

import (
	"context"
	"log/slog"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/cmd/millrace/config"
	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/triggers/inbox"
	"github.com/millrace-ci/millrace/triggers/inbox/spool"
)

// entry is the inbox as those see it who hear: with a spool before it, where deliveries come and Redis may be away.
type entry struct {
	inbox.Inbox
	rdb   *redis.Client // nil where everything is kept in memory
	spool *spool.Spool  // nil: there is none
}

// openEntry opens the spool, if this agent is to have one. The caller closes the entry.
func openEntry(c *config.Config, behind inbox.Inbox, rdb *redis.Client, m *metrics.Spool, log *slog.Logger) (entry, error) {
	if rdb == nil || !slices.Contains(c.Roles, "hook") {
		return entry{Inbox: behind, rdb: rdb}, nil
	}
	s, err := spool.New(spool.Config{Dir: c.Spool.Dir, MaxBytes: int64(c.Spool.MaxBytes), Metrics: m, Log: log}, behind)
	return entry{Inbox: s, rdb: rdb, spool: s}, err
}

// run hands on what the spool holds until ctx ends.
func (e entry) run(ctx context.Context, drained func(context.Context, ...string) error) error {
	if e.spool == nil {
		return nil
	}
	return e.spool.Run(ctx, drained)
}

// ready answers whether this agent can be of use: what remembers can be asked, or deliveries are kept until it can.
func (e entry) ready(ctx context.Context) error {
	if e.rdb == nil || e.spool != nil && e.spool.Takes() {
		return nil
	}
	return e.rdb.Ping(ctx).Err()
}

func (e entry) close() {
	if e.spool != nil {
		_ = e.spool.Close() // Nothing is lost by it.
	}
}
