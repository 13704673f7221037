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

// connectRedis connects to the Redis that is configured or, without one, to a redis-server of our own in the data
// folder. It returns nil when there is none to be had: then everything is kept in memory. closeAll ends what it started.
func connectRedis(ctx context.Context, c *Config, log *slog.Logger) (rdb *redis.Client, closeAll func(), err error) {
	redis.SetLogger(clientLog{log})
	opt, err := c.Redis.options()
	if err != nil {
		return nil, nil, usage(err)
	}
	if opt != nil {
		rdb, err := checkedRedis(ctx, opt, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("redis at %s (redis.url): %w", opt.Addr, err)
		}
		return rdb, func() { _ = rdb.Close() }, nil
	}
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		log.WarnContext(ctx, "no redis-server on PATH and no redis.url: everything is kept in memory and FORGOTTEN when this process ends")
		return nil, func() {}, nil
	}
	dir := filepath.Join(c.Data, "redis")
	server, err := startEmbedded(binary, dir)
	if err != nil {
		return nil, nil, fmt.Errorf("embedded redis: %w", err)
	}
	rdb, err = checkedRedis(ctx, &redis.Options{Network: "unix", Addr: server.socket}, server.ended)
	if err != nil {
		server.stop()
		return nil, nil, fmt.Errorf("embedded redis: %w: its log is %s", err, logOf(dir))
	}
	log.InfoContext(ctx, "embedded redis started", "data", dir)
	return rdb, func() { _ = rdb.Close(); server.stop() }, nil
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
