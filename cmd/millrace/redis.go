package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// redisPatience is how long a Redis may take to answer at start. One that says that it loads its data may take longer.
const redisPatience = 5 * time.Second

// options reads the URL. Its error does not show it: it may hold a password.
func (c RedisConfig) options() (*redis.Options, error) {
	if c.URL == "" {
		return nil, nil //nolint:nilnil // No URL, no options, no mistake.
	}
	opt, err := redis.ParseURL(string(c.URL))
	if bad := (*url.Error)(nil); errors.As(err, &bad) {
		err = bad.Err
	}
	if err != nil {
		return nil, fmt.Errorf("redis.url: write redis://HOST:6379, rediss:// or unix:///PATH: %w", err)
	}
	opt.DialTimeout = redisPatience
	return opt, nil
}

// connection is the Redis that remembers.
type connection struct {
	rdb      *redis.Client  // nil where there is none to be had: then everything is kept in memory
	embedded *embeddedRedis // nil where it is not ours
}

// connectRedis connects to the Redis that is configured or, without one, to a redis-server of our own in the data
// folder. The caller closes the connection.
func connectRedis(ctx context.Context, c *Config, log *slog.Logger) (connection, error) {
	redis.SetLogger(clientLog{log})
	opt, err := c.Redis.options()
	if err != nil {
		return connection{}, usage(err)
	}
	if opt != nil {
		rdb, err := checkedRedis(ctx, opt, nil)
		if err != nil {
			return connection{}, fmt.Errorf("redis at %s (redis.url): %w", opt.Addr, err)
		}
		return connection{rdb: rdb}, nil
	}
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		log.WarnContext(ctx, "no redis-server on PATH and no redis.url: everything is kept in memory and FORGOTTEN when this process ends")
		return connection{}, nil
	}
	server, err := startEmbedded(binary, filepath.Join(c.Data, "redis"))
	if err != nil {
		return connection{}, fmt.Errorf("embedded redis: %w", err)
	}
	rdb, err := checkedRedis(ctx, &redis.Options{Network: "unix", Addr: server.socket}, server.ended)
	if err != nil {
		server.stop()
		return connection{}, fmt.Errorf("embedded redis: %w: its log is %s", err, server.log)
	}
	log.InfoContext(ctx, "embedded redis started", "log", server.log)
	return connection{rdb, server}, nil
}

// close ends the connection, and the server if it is ours.
func (c connection) close() {
	if c.rdb != nil {
		_ = c.rdb.Close()
	}
	if c.embedded != nil {
		c.embedded.stop()
	}
}

// watch returns when ctx ends or, with an error, when our own server has: then this process must be started again.
func (c connection) watch(ctx context.Context) error {
	if c.embedded == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-c.embedded.ended:
		return fmt.Errorf("the embedded redis has ended: its log is %s", c.embedded.log)
	}
}

// checkedRedis connects, and refuses a Redis that would forget what it accepted. ended is closed when the server has
// ended, nil if nobody can tell.
func checkedRedis(ctx context.Context, opt *redis.Options, ended <-chan struct{}) (*redis.Client, error) {
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled} // a hosted service's
	rdb := redis.NewClient(opt)
	if err := awaitRedis(ctx, rdb, ended); err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	policy, err := rdb.ConfigGet(ctx, "maxmemory-policy").Result()
	if err == nil && policy["maxmemory-policy"] != "noeviction" { // where CONFIG is forbidden nobody can tell
		err = fmt.Errorf("its maxmemory-policy is %s, so it would throw away what it accepted: set noeviction", policy["maxmemory-policy"])
		return nil, errors.Join(err, rdb.Close())
	}
	return rdb, nil
}

// awaitRedis waits until the server answers.
func awaitRedis(ctx context.Context, rdb *redis.Client, ended <-chan struct{}) error {
	deadline := time.Now().Add(redisPatience)
	for {
		err := rdb.Ping(ctx).Err()
		switch {
		case err == nil:
			return nil
		case !redis.IsLoadingError(err) && time.Now().After(deadline):
			return fmt.Errorf("it does not answer: %w", err)
		}
		select {
		case <-ended:
			return errors.New("redis-server ended at once")
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond): // nothing signals that a server has come up
		}
	}
}

// clientLog makes what go-redis has to say a part of our log.
type clientLog struct{ log *slog.Logger }

func (l clientLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, "redis client", "says", fmt.Sprintf(format, args...))
}
