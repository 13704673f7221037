package redisq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxBlock bounds one blocked read: leases of others that run out wake nobody, so that it has to look again.
	maxBlock = time.Second
	// answerLimit is how long the server may take to answer after the blocked read's time is over.
	answerLimit = time.Second
	// unblockPause is the time between two tries to end a blocked read.
	unblockPause = 2 * time.Millisecond
)

// waiter is a connection on which one Lease waits for new entries.
type waiter struct {
	node   *redis.Client // the server that has the stream
	conn   *redis.Conn
	id     int64 // of the connection, at the server
	stream string
	block  time.Duration
}

// newWaiter takes a connection out of the pool and asks for its id. One round trip.
func newWaiter(ctx context.Context, rdb redis.UniversalClient, stream string, leaseTime time.Duration) (*waiter, error) {
	node, err := nodeOf(ctx, rdb, stream)
	if err != nil {
		return nil, fmt.Errorf("find the server of %s: %w", stream, err)
	}
	block := min(maxBlock, leaseTime/4)
	conn := node.WithTimeout(block + answerLimit).Conn()
	id, err := conn.ClientID(ctx).Result()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask for the connection's id: %w", err), conn.Close())
	}
	return &waiter{node, conn, id, stream, block}, nil
}

// nodeOf finds the server that has the stream: blocking and unblocking is the business of one.
func nodeOf(ctx context.Context, rdb redis.UniversalClient, stream string) (*redis.Client, error) {
	switch c := rdb.(type) {
	case *redis.Client:
		return c, nil
	case *redis.ClusterClient:
		return c.MasterForKey(ctx, stream)
	}
	return nil, fmt.Errorf("redis client is a %T", rdb)
}

// wait blocks until new entries arrive, the bound is over, or ctx ends. It may return entries although ctx ended.
func (w *waiter) wait(ctx context.Context, worker string, limit int) ([]entry, error) {
	read, unblocked := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(unblocked)
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.block+answerLimit)
		defer cancel()
		w.unblock(end, read)
	})
	streams, err := w.read(ctx, worker, limit)
	close(read)
	if !stop() {
		<-unblocked
	}
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case redis.HasErrorPrefix(err, "NOGROUP"), redis.HasErrorPrefix(err, "UNBLOCKED"):
		// The group or the stream went while we waited: the next look for free items makes it again.
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("wait for items: %w", err)
	}
	var entries []entry
	for _, m := range streams[0].Messages {
		entries = append(entries, entry{id: m.ID, deliveries: 1, fields: m.Values})
	}
	return entries, nil
}

// read is XREADGROUP with the connection's own time limit: go-redis's XReadGroup gives a silent server ten seconds.
func (w *waiter) read(ctx context.Context, worker string, limit int) ([]redis.XStream, error) {
	cmd := redis.NewXStreamSliceCmd(ctx, "XREADGROUP", "GROUP", group, worker, "COUNT", limit,
		"BLOCK", milliseconds(w.block), "STREAMS", w.stream, ">")
	err := w.conn.Process(ctx, cmd)
	return cmd.Val(), err
}

// unblock ends a blocked read from another connection. It tries until the read is over: the first try may come before
// the server has seen the read.
func (w *waiter) unblock(ctx context.Context, read <-chan struct{}) {
	for {
		if n, err := w.node.ClientUnblock(ctx, w.id).Result(); err == nil && n == 1 {
			return
		}
		select {
		case <-read:
			return
		case <-ctx.Done(): // a silent server: the read has a limit of its own
			return
		case <-time.After(unblockPause):
		}
	}
}

// close gives the connection back to the pool. A broken one is thrown away there, and there is nobody to tell.
func (w *waiter) close() { _ = w.conn.Close() }
