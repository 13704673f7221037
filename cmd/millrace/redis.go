package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/millrace-ci/millrace/cmd/millrace/config"
	"github.com/millrace-ci/millrace/triggers"
)

// redisPatience is how long a Redis may take to answer at start. One that says that it loads its data may take longer.
const redisPatience = 5 * time.Second

// redisOptions reads the URL. Its error does not show it: it may hold a password.
func redisOptions(address triggers.Secret) (*redis.Options, error) {
	if address == "" {
		return nil, nil //nolint:nilnil // No URL, no options, no mistake.
	}
	opt, err := redis.ParseURL(string(address))
	if err != nil { // every text of it may quote the password: a "/" or "%" in it moves the URL's parts
		return nil, errors.New("redis.url: cannot be read: write redis://:PASSWORD@HOST:6379/DB, rediss:// or unix:///PATH, " +
			"and what is special in a password as %40 for @, %2F for /, %3A for :, %25 for %")
	}
	opt.DialTimeout = redisPatience
	return opt, nil
}

// checkRedis checks that redis.url can be read.
func checkRedis(c *config.Config) error {
	_, err := redisOptions(c.Redis.URL)
	return err
}

// connection is the Redis that remembers.
type connection struct {
	rdb      *redis.Client               // nil where there is none to be had: then everything is kept in memory
	embedded *embeddedRedis              // nil where it is not ours
	late     func(context.Context) error // checks a Redis that did not answer yet, once it does; nil: it was checked
}

// connectRedis connects to the Redis that is configured or, without one, to a redis-server of our own in the data
// folder. One that does not answer is an error, most often a mistake in redis.url, but for an agent that heard deliveries
// before: it goes on hearing, and keeps them in its spool. The caller closes the connection.
func connectRedis(ctx context.Context, c *config.Config, log *slog.Logger) (connection, error) {
	redis.SetLogger(clientLog{log}) // it is a global of go-redis; without it plain text comes into our JSON
	opt, err := redisOptions(c.Redis.URL)
	if err != nil {
		return connection{}, usage(err)
	}
	if opt != nil {
		opt.PoolSize = max(opt.PoolSize, connections(c))
		rdb, err := checkedRedis(ctx, opt, nil, log)
		if errors.Is(err, errSilent) && hasHeard(c) {
			log.WarnContext(ctx, "redis does not answer: deliveries go to the spool until it does", "err", err)
			rdb = redis.NewClient(opt)
			return connection{rdb: rdb, late: func(ctx context.Context) error { return checkLate(ctx, rdb, log) }}, nil
		}
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
	opt = &redis.Options{Network: "unix", Addr: server.socket, PoolSize: connections(c)}
	rdb, err := checkedRedis(ctx, opt, server.ended, log)
	if err != nil {
		server.stop()
		return connection{}, fmt.Errorf("embedded redis: %w: its log is %s", err, server.log)
	}
	log.InfoContext(ctx, "embedded redis started", "log", server.log)
	return connection{rdb: rdb, embedded: server}, nil
}

// hasHeard tells whether an agent with this data folder has kept a spool before.
func hasHeard(c *config.Config) bool {
	_, err := os.Stat(c.Spool.Dir)
	return err == nil && c.Spool.MaxBytes > 0 && slices.Contains(c.Roles, "hook")
}

// checkLate waits for a Redis that did not answer at the start, and checks it then.
func checkLate(ctx context.Context, rdb *redis.Client, log *slog.Logger) error {
	for awaitRedis(ctx, rdb, nil) != nil {
		if ctx.Err() != nil {
			return nil
		}
	}
	log.InfoContext(ctx, "redis answers")
	return checkSettings(ctx, rdb, log)
}

// connections is the size of the pool: what go-redis takes by default for calls that come and go, and one for each
// blocking read, which holds its own while it waits. Without those, an agent with few cores and many runners would wait
// with all it has, and could not ask for anything.
func connections(c *config.Config) int {
	const (
		lines     = 4 // plan, report, reap, gaps; each runner has one more
		followers = 4 // reads of logs that wait at a time, see redislogs
	)
	return 10*runtime.GOMAXPROCS(0) + lines + len(c.Runners) + followers
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

// watch returns when ctx ends or, with an error, when our own server has, or when one that answers late is none that may
// be used: then this process must be started again.
func (c connection) watch(ctx context.Context) error {
	if c.late != nil {
		return c.late(ctx)
	}
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

// checkedRedis connects, and refuses a Redis that would throw away what it accepted. It warns of one that would lose it
// with a restart. ended is closed when the server has ended, nil if nobody can tell.
func checkedRedis(ctx context.Context, opt *redis.Options, ended <-chan struct{}, log *slog.Logger) (*redis.Client, error) {
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled} // a hosted service's
	// Else a deadline does not end a call to a silent server.
	opt.ContextTimeoutEnabled = true
	rdb := redis.NewClient(opt)
	if err := awaitRedis(ctx, rdb, ended); err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	if err := checkSettings(ctx, rdb, log); err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	return rdb, nil
}

// checkSettings looks at what a Redis forgets.
func checkSettings(ctx context.Context, rdb *redis.Client, log *slog.Logger) error {
	settings, err := settingsOf(ctx, rdb)
	if err != nil {
		log.InfoContext(ctx, "redis does not show its settings: make sure that it has appendonly yes and maxmemory-policy noeviction", "err", err)
		return nil
	}
	if policy := settings["maxmemory-policy"]; policy != "noeviction" {
		return fmt.Errorf("its maxmemory-policy is %s, so it would throw away what it accepted: set noeviction", policy)
	}
	if loss := lossOf(settings); loss != "" {
		log.WarnContext(ctx, "redis can LOSE what was accepted", "loss", loss)
	}
	return nil
}

// settingsOf reads the settings that decide what a Redis forgets, in one round trip each. A hosted one may forbid it.
func settingsOf(ctx context.Context, rdb *redis.Client) (map[string]string, error) {
	all := map[string]string{}
	for _, name := range []string{"maxmemory-policy", "appendonly", "appendfsync", "save"} {
		found, err := rdb.ConfigGet(ctx, name).Result()
		if err != nil {
			return nil, err
		}
		maps.Copy(all, found)
	}
	return all, nil
}

// lossOf says what a Redis with these settings loses when it is restarted, "" for at most the last second.
func lossOf(settings map[string]string) string {
	switch {
	case settings["appendonly"] != "yes" && settings["save"] == "":
		return "it keeps nothing on disk: a restart of it loses everything: set appendonly yes"
	case settings["appendonly"] != "yes":
		return "it writes snapshots only: a restart of it loses what came after the last one: set appendonly yes"
	case settings["appendfsync"] == "no":
		return "it leaves it to the system when to write: a failure of its machine loses about half a minute: set appendfsync everysec or always"
	}
	return ""
}

// errSilent means that a Redis cannot be reached.
var errSilent = errors.New("it does not answer")

// awaitRedis waits until the server answers. Errors: errSilent.
func awaitRedis(ctx context.Context, rdb *redis.Client, ended <-chan struct{}) error {
	deadline := time.Now().Add(redisPatience)
	for {
		err := rdb.Ping(ctx).Err()
		switch {
		case err == nil:
			return nil
		case !redis.IsLoadingError(err) && time.Now().After(deadline):
			return fmt.Errorf("%w: %w", errSilent, err)
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

// clientLog makes what go-redis has to say a part of our log. What matters of it comes to us as an error as well, so
// here it is for who looks closely.
type clientLog struct{ log *slog.Logger }

func (l clientLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, "redis client", "says", fmt.Sprintf(format, args...))
}
