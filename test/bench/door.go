package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// openRate is how many deliveries come in a second while the time of an answer is measured.
const openRate = 200

// heard is what one round of one side showed.
type heard struct {
	rate, forged    float64 // answers a second: to pushes, and to those with another's signature
	scripts         float64 // that Redis ran for a push
	commands        float64 // that Redis was sent while all the forged ones came
	own, server     float64 // CPU time of who answers, and of Redis, for a push, in microseconds
	sender          float64 // of who sends it, from the same cores
	p50, p99, worst float64 // of an answer at openRate, in milliseconds
}

// knock measures how fast signed pushes are accepted and forged ones refused: P1 and P2.
func knock(ctx context.Context, o options) error {
	for _, fsync := range o.fsync {
		s, err := startServer(ctx, fsync)
		if err != nil {
			return err
		}
		results, err := alternate(o, func(name string) (heard, error) { return hearOnce(ctx, s, name, o.n) })
		if err == nil {
			err = about(ctx, s, fmt.Sprintf("Deliveries: %d signed pushes of 8-13 KB, %d in flight, then %d a second; appendfsync %s", o.n, inFlight, openRate, fsync))
		}
		s.stop()
		if err != nil {
			return err
		}
		printTable(o, []column[heard]{
			{"pushes/s", "%.0f", func(h heard) float64 { return h.rate }, true},
			{"scripts/push", "%.2f", func(h heard) float64 { return h.scripts }, false},
			{"CPU µs/push", "%.0f", func(h heard) float64 { return h.own }, false},
			{"Redis's CPU µs/push", "%.0f", func(h heard) float64 { return h.server }, false},
			{"sender's CPU µs/push", "%.0f", func(h heard) float64 { return h.sender }, false},
			{fmt.Sprintf("p50 ms at %d/s", openRate), "%.2f", func(h heard) float64 { return h.p50 }, false},
			{"p99 ms", "%.2f", func(h heard) float64 { return h.p99 }, false},
			{"longest ms", "%.2f", func(h heard) float64 { return h.worst }, false},
			{"forged/s", "%.0f", func(h heard) float64 { return h.forged }, true},
			{"commands for all forged", "%.0f", func(h heard) float64 { return h.commands }, false},
		}, results)
	}
	return nil
}

// hearOnce starts a side and knocks at it.
func hearOnce(ctx context.Context, s *server, name string, n int) (heard, error) {
	bodies, err := recordedPushes()
	if err != nil {
		return heard{}, err
	}
	dir, err := os.MkdirTemp(s.dir, name)
	if err != nil {
		return heard{}, err
	}
	if err := s.empty(ctx); err != nil {
		return heard{}, err
	}
	c, err := startSelf(ctx, doorCommand, name, s.socket, filepath.Clean(dir))
	if err != nil {
		return heard{}, err
	}
	defer c.kill()
	var h heard
	// The forged ones come first: nothing that was accepted before them is still on its way to Redis.
	forged := newSender(c.line, "a guess", http.StatusUnauthorized, bodies...)
	if _, err := forged.closed(ctx, n/10); err != nil { // Its connections and buffers are there then.
		return heard{}, err
	}
	if err := h.refuse(ctx, s, forged, n); err != nil {
		return heard{}, err
	}
	signed := newSender(c.line, hookSecret, http.StatusAccepted, bodies...)
	if _, err := signed.closed(ctx, n/10); err != nil {
		return heard{}, err
	}
	err = errors.Join(h.accept(ctx, s, c, signed, n), h.wait(ctx, signed, n))
	return h, err
}

// accept sends pushes as fast as they are answered.
func (h *heard) accept(ctx context.Context, s *server, c *child, from *sender, n int) error {
	if err := s.admin.ConfigResetStat(ctx).Err(); err != nil {
		return err
	}
	server1, err1 := s.cpu(ctx)
	own1, err2 := usageOf(c.cmd.Process.Pid)
	sender1, err3 := ownCPU()
	var err7 error
	h.rate, err7 = from.closed(ctx, n)
	sender2, _ := ownCPU()
	own2, err4 := usageOf(c.cmd.Process.Pid)
	server2, err5 := s.cpu(ctx)
	scripts, err6 := s.scripts(ctx)
	each := func(total time.Duration) float64 { return float64(total.Microseconds()) / float64(n) }
	h.own, h.server, h.sender, h.scripts = each(own2.cpu-own1.cpu), each(server2-server1), each(sender2-sender1), float64(scripts)/float64(n)
	return errors.Join(err1, err2, err3, err4, err5, err6, err7)
}

// wait sends pushes at a rate that leaves the machine idle.
func (h *heard) wait(ctx context.Context, from *sender, n int) error {
	took, err := from.open(ctx, max(n/25, 10), openRate)
	if err != nil {
		return err
	}
	h.p50, h.p99, h.worst = quantile(took, 0.5), quantile(took, 0.99), quantile(took, 1)
	return nil
}

// refuse sends pushes that somebody else signed, and counts what Redis hears meanwhile.
func (h *heard) refuse(ctx context.Context, s *server, from *sender, n int) error {
	before, err := s.commands(ctx)
	if err != nil {
		return err
	}
	if h.forged, err = from.closed(ctx, n); err != nil {
		return err
	}
	after, err := s.commands(ctx)
	h.commands = float64(after - before - 1) // The one that asks is one.
	return err
}
