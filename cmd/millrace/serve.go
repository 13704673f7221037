package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/mask"
	"github.com/millrace-ci/millrace/cmd/millrace/config"
)

func serveCommand(s streams) *cobra.Command {
	var file, listen string
	c := &cobra.Command{
		Use: "serve", Short: "Run the daemon", Args: arguments(0, 0), GroupID: groupDaemon,
		Long: `Runs the daemon until it is sent SIGTERM or an interrupt. Then it takes on
nothing new; jobs go on, and the next start joins them. Its log is JSON on
standard error, where "ready" tells the address.

Every key of the configuration file can be set by an environment variable
(server.listen: MILLRACE_SERVER_LISTEN), but for lists of mappings.`,
		Example: "  millrace serve\n  millrace serve -c /etc/millrace.yaml --listen :8080",
		RunE: func(c *cobra.Command, _ []string) error {
			flags := map[string]any{}
			if listen != "" {
				flags["server.listen"] = listen
			}
			cfg, err := loadConfig(file, flags)
			if err != nil {
				return usage(err)
			}
			secrets := known(cfg)
			log := slog.New(slog.NewJSONHandler(secrets.Lines(s.err), nil)) // which writes whole lines
			return serve(c.Context(), cfg, options{log: log, known: secrets, lease: leaseTime, now: time.Now})
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration `FILE` (default ./millrace.yaml)")
	c.Flags().StringVar(&listen, "listen", "", "`ADDRESS` to listen on, whatever the file says")
	return c
}

// options are what a test may want otherwise.
type options struct {
	log   *slog.Logger
	known *mask.Masker // hides secrets in errors that are kept; nil: none
	lease time.Duration
	now   func() time.Time // the agent's clock
	redis redis.Hook       // sees every call to Redis; nil: nobody does
}

// serve builds the parts and lets them run until ctx ends.
func serve(ctx context.Context, c *config.Config, o options) error {
	data, err := openData(c.Data)
	if err != nil {
		return err
	}
	defer data.close()
	conn, err := connectRedis(ctx, c, o.log)
	if err != nil {
		return err
	}
	defer conn.close()
	if conn.rdb != nil && o.redis != nil {
		conn.rdb.AddHook(o.redis)
	}
	p, err := assemble(c, data, conn, o)
	defer p.entry.close()
	if err != nil {
		return err
	}
	return live(ctx, c, o.log, p)
}

// live runs the parts until ctx ends or one fails. When ctx ends, nothing new is taken on (intake), and what is being
// done has the grace to end (work).
func live(ctx context.Context, c *config.Config, log *slog.Logger, p parts) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Server.Listen)
	if err != nil {
		return fmt.Errorf("%w: is another millrace running there? (server.listen, --listen)", err)
	}
	g, intake := errgroup.WithContext(ctx)
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(intake, func() { time.AfterFunc(c.ShutdownGrace, cancel) })()
	hear, heard := context.WithCancel(context.WithoutCancel(ctx)) // ends when nobody is answered any more
	g.Go(func() error {
		defer heard()
		return serveHTTP(intake, listener, p.handler, log)
	})
	g.Go(func() error { return p.redis.watch(intake) })
	g.Go(func() error { return p.door.Run(intake) })
	g.Go(func() error { return p.entry.run(hear, p.agent.PushDeliveries) })
	g.Go(func() error { return p.watch(work) }) // longer than intake: what is held is still watched
	g.Go(func() error {
		defer cancel() // nobody watches any more
		return p.agent.Run(intake, work)
	})
	if err := p.ready.await(intake); err == nil {
		log.InfoContext(ctx, "ready", "address", "http://"+listener.Addr().String(), "url", c.Server.URL, "version", version)
	}
	err = g.Wait()
	log.InfoContext(ctx, "ended")
	return err
}

// serveHTTP serves until intake ends; then it lets requests that are being answered end.
func serveHTTP(intake context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(intake) },
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-intake.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(intake), 2*time.Second)
	defer cancel()
	if err := srv.Shutdown(end); err != nil {
		_ = srv.Close() // followers of logs come back by themselves
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// agentName is a name that no other process has, and no later one: host, and something random.
func agentName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "agent"
	}
	return host + "-" + strings.ToLower(rand.Text()[:8])
}

func agentRoles(c *config.Config) agent.Roles {
	has := func(role string) bool { return slices.Contains(c.Roles, role) }
	return agent.Roles{Plan: has("plan"), Work: has("work"), Report: has("report")}
}
