package main

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millrace-ci/millrace/agent/api"
	"github.com/millrace-ci/millrace/agent/web"
	"github.com/millrace-ci/millrace/cmd/millrace/config"
)

// routes mounts everything that is asked over HTTP. Webhooks are signed, and health and metrics tell nothing of
// anybody's code; all else is for people on this machine.
func routes(c *config.Config, hooks http.Handler, actions api.Actions, token api.Token, m memory, n numbers, ready readiness, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	if slices.Contains(c.Roles, "hook") {
		mux.Handle("/hooks/{forge}", hooks)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.Handle("GET /readyz", ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.registry, promhttp.HandlerOpts{}))
	if slices.Contains(c.Roles, "web") {
		cfg := api.Config{URL: c.Server.URL, Runs: m.runs, Plans: m.plans, Inbox: m.inbox, Logs: m.logs, Actions: actions, Token: token, Log: log}
		mux.Handle("POST "+api.OutputPath, api.NewTasks(cfg)) // tasks have tokens
		mux.Handle("/api/", api.Guard(c.Server.URL, api.New(cfg)))
		page := web.New(web.Config{Runs: m.runs, Plans: m.plans, Inbox: m.inbox, Logs: m.logs, Actions: actions, Now: time.Now, Log: log})
		mux.Handle("/", api.Guard(c.Server.URL, page))
	}
	return mux
}

// readiness tells whether the daemon can do its work, nil if it can. It answers /readyz.
type readiness func(ctx context.Context) error

func (ready readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := ready(ctx); err != nil {
		http.Error(w, "redis cannot be asked", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}

// await waits until the daemon is ready, or ctx ends.
func (ready readiness) await(ctx context.Context) error {
	for {
		if err := ready(ctx); err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		select {
		case <-time.After(50 * time.Millisecond): // nothing signals that Redis is back
		case <-ctx.Done():
		}
	}
}
