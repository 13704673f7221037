package redisstore

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// backlog is how many changes a reader may lag behind before it misses some.
	backlog = 256
	// subscribeLimit is how long the server may take to confirm a subscription.
	subscribeLimit = 10 * time.Second
)

// Changes keeps the contract. It holds a connection of its own until ctx ends. After a lost connection it comes back by
// itself, and sends "".
func (s *Store) Changes(ctx context.Context) (<-chan string, error) {
	sub := s.rdb.Subscribe(ctx, changes)
	if _, err := sub.ReceiveTimeout(ctx, subscribeLimit); err != nil {
		_ = sub.Close() // There is nothing to lose in it.
		return nil, fmt.Errorf("subscribe to changes of runs: %w", err)
	}
	c := make(chan string, backlog)
	go pass(ctx, sub, c)
	return c, nil
}

// pass sends what sub hears to c until ctx ends.
func pass(ctx context.Context, sub *redis.PubSub, c chan<- string) {
	defer func() { _ = sub.Close() }() // After close(c): it may wait for a server that does not answer.
	defer close(c)
	heard := sub.ChannelWithSubscriptions()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-heard:
			switch m := m.(type) {
			case *redis.Message:
				offer(c, m.Payload)
			case *redis.Subscription: // again, on another connection
				offer(c, "")
			}
		}
	}
}

// offer sends id if c has room for it. The last place is kept for "": it stands for all that c had no room for, and the
// reader comes to it after everything that it missed. Only one goroutine may offer at a time.
func offer(c chan<- string, id string) {
	if len(c) < cap(c)-1 {
		c <- id
		return
	}
	select {
	case c <- "":
	default: // it is there already
	}
}
