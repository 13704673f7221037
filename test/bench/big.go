package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/millrace-ci/millrace/agent/store/redisstore"
)

// grown is what one round showed.
type grown struct {
	push              float64 // ms to the answer to a large push
	before, rss, peak float64 // of the daemon: MiB before the push, when it was planned, and at most
	scrape, slowest   float64 // ms of /metrics with many tasks in line
	loaded            float64 // MiB of the daemon then
}

// big measures a push of 25 MB, and /metrics while n tasks are in line: P15.
func big(ctx context.Context, o options) error {
	binary, err := buildDaemon(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(binary))
	for _, fsync := range o.fsync {
		s, err := startServer(ctx, fsync)
		if err != nil {
			return err
		}
		results, err := alternate(o, func(string) (grown, error) { return growOnce(ctx, s, binary, o.n) })
		if err == nil {
			err = about(ctx, s, fmt.Sprintf("A push of 25 MB, then %d tasks in line; appendfsync %s", o.n, fsync))
		}
		s.stop()
		if err != nil {
			return err
		}
		printTable(o, []column[grown]{
			{"push, ms", "%.0f", func(g grown) float64 { return g.push }, false},
			{"RSS before, MiB", "%.0f", func(g grown) float64 { return g.before }, false},
			{"RSS at most", "%.0f", func(g grown) float64 { return g.peak }, false},
			{"RSS 5 s after", "%.0f", func(g grown) float64 { return g.rss }, false},
			{"/metrics, p50 ms", "%.1f", func(g grown) float64 { return g.scrape }, false},
			{"longest of 50", "%.1f", func(g grown) float64 { return g.slowest }, false},
			{"RSS then", "%.0f", func(g grown) float64 { return g.loaded }, false},
		}, results)
	}
	return nil
}

func growOnce(ctx context.Context, s *server, binary string, tasks int) (g grown, err error) {
	if err := s.empty(ctx); err != nil {
		return g, err
	}
	d, err := startDaemon(ctx, binary, "unix://"+s.socket, nowhere)
	if err != nil {
		return g, err
	}
	defer d.end()
	if err := g.hear(ctx, d); err != nil {
		return g, err
	}
	if err := s.inLine(ctx, tasks); err != nil {
		return g, err
	}
	var took []float64
	for range 50 {
		start := time.Now()
		if _, err := d.get(ctx, "/metrics"); err != nil {
			return g, err
		}
		took = append(took, float64(time.Since(start).Microseconds())/1000)
	}
	g.scrape, g.slowest = quantile(took, 0.5), quantile(took, 1)
	after, err := usageOf(d.cmd.Process.Pid)
	g.loaded = after.rss
	return g, err
}

// hear sends the large push.
func (g *grown) hear(ctx context.Context, d *daemon) error {
	body, err := largePush()
	if err != nil {
		return err
	}
	before, err1 := usageOf(d.cmd.Process.Pid)
	from := newSender(d.address, hookSecret, http.StatusAccepted, body)
	start := time.Now()
	err2 := from.deliver(ctx)
	g.push = float64(time.Since(start).Microseconds()) / 1000
	<-time.After(5 * time.Second) // A planner reads it meanwhile.
	after, err3 := usageOf(d.cmd.Process.Pid)
	g.before, g.rss, g.peak = before.rss, after.rss, after.peak
	return errors.Join(err1, err2, err3)
}

// largePush is a recorded push with as many commits more as GitHub would deliver.
func largePush() ([]byte, error) {
	bodies, err := recordedPushes()
	if err != nil {
		return nil, err
	}
	var push map[string]any
	if err := json.Unmarshal(bodies[0], &push); err != nil {
		return nil, err
	}
	var commits []any
	for size := 0; size < 25<<20-64<<10; {
		var files []string
		for range 200 {
			files = append(files, fmt.Sprintf("src/%016x/%08x.go", rand.Uint64(), rand.Uint32()))
		}
		commit := map[string]any{"id": fmt.Sprintf("%040x", rand.Uint64()), "message": files[0], "added": files}
		text, err := json.Marshal(commit)
		if err != nil {
			return nil, err
		}
		size += len(text) + 1
		commits = append(commits, commit)
	}
	push["commits"] = commits
	return json.Marshal(push)
}

// inLine stores runs whose tasks no runner here takes, and waits until the daemon has put all of them in line.
func (s *server) inLine(ctx context.Context, tasks int) error {
	c := s.client(nil)
	defer c.Close()
	runs := redisstore.New(c, redisstore.Config{})
	for i := 0; i*500 < tasks; i++ {
		if _, err := runs.Create(ctx, newRun(fmt.Sprintf("big%05d", i), min(500, tasks-i*500), time.Now())); err != nil {
			return err
		}
	}
	for start := time.Now(); time.Since(start) < 2*time.Minute; <-time.After(100 * time.Millisecond) {
		if n, err := s.admin.XLen(ctx, "{millrace}:queue:work-elsewhere").Result(); err != nil || int(n) == tasks {
			return err
		}
	}
	return errors.New("the tasks are not in line after two minutes")
}
