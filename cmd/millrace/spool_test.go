package main

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/internal/redistest"
)

// TestStartWithoutRedis starts an agent again while Redis is gone: it hears, and nothing is lost.
func TestStartWithoutRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	s := newSite(t, fmt.Sprintf("redis: {url: %q}\n", redis.URL()))
	if code, _ := s.serve(t).end(t, syscall.SIGTERM); code != 0 {
		t.Fatalf("the first agent ended with %d", code)
	}
	redis.Kill()
	p := s.serve(t)
	commit := s.push(t, "true")
	redis.Restart()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.forge.Wait(ctx, func() bool {
		told := s.forge.Statuses("mill", "flour", commit)
		return len(told) > 0 && told[0].State == "success"
	}); err != nil {
		t.Fatalf("%v\n%s", err, p.out)
	}
	p.says(t, `"msg":"redis answers"`)
}

// TestRedisAway pushes while Redis is gone: the delivery is accepted, kept on this disk, and planned when Redis is back.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	s := newSite(t, fmt.Sprintf("redis: {url: %q}\n", redis.URL()))
	p := s.serve(t)
	redis.Kill()
	if got := s.status(t, "/readyz"); got != http.StatusOK {
		t.Errorf("/readyz answers %d, want 200: deliveries are kept", got)
	}
	commit := s.push(t, "true")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pushed := func() bool {
		for _, d := range s.forge.Deliveries() {
			if d.Event == "push" {
				return true
			}
		}
		return false
	}
	if err := s.forge.Wait(ctx, pushed); err != nil {
		t.Fatal(err)
	}
	for _, d := range s.forge.Deliveries() {
		if d.Status != http.StatusAccepted {
			t.Errorf("%s was answered %d %s, want 202", d.Event, d.Status, d.Answer)
		}
	}
	redis.Restart()
	if err := s.forge.Wait(ctx, func() bool {
		told := s.forge.Statuses("mill", "flour", commit)
		return len(told) > 0 && told[0].State == "success"
	}); err != nil {
		t.Fatalf("%v\n%s", err, p.out)
	}
}
