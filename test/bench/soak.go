package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// soakPush is how many pushes, one right after the other, tell what the daemon can do.
const soakPush = 100

// soaked is what a soak showed.
type soaked struct {
	full, rate float64 // runs a second that it can do, and that it was given
	rss        []float64
}

// soak gives the daemon half of what it can do for n seconds, from push to told status, with jobs of this machine, and
// measures how its memory grows: P15.
func soak(ctx context.Context, o options) error {
	binary, err := buildDaemon(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(binary))
	g, err := startGit(ctx)
	if err != nil {
		return err
	}
	defer g.stop()
	s, err := startServer(ctx, o.fsync[0])
	if err != nil {
		return err
	}
	defer s.stop()
	r, err := soakOnce(ctx, s, g, binary, o.n)
	if err != nil {
		return err
	}
	if err := about(ctx, s, fmt.Sprintf("Half load for %d s: %.1f pushes a second of the %.1f that it can do; appendfsync %s", o.n, r.rate, r.full, o.fsync[0])); err != nil {
		return err
	}
	last := r.rss[2*len(r.rss)/3:]
	_, least, most := spread(last, func(f float64) float64 { return f })
	fmt.Printf("RSS %.1f MiB at the start, %.1f in the middle, %.1f at the end; in the last third %.1f-%.1f, which grows by %.2f %% in 10 minutes.\n\n",
		r.rss[0], r.rss[len(r.rss)/2], r.rss[len(r.rss)-1], least, most, slope(last)*600)
	return nil
}

func soakOnce(ctx context.Context, s *server, g *gitServer, binary string, seconds int) (soaked, error) {
	r, err := g.generate(ctx, filepath.Join("octo", "repo.git"), 100, 1)
	if err != nil {
		return soaked{}, err
	}
	d, err := startDaemon(ctx, binary, "unix://"+s.socket, g.http.URL)
	if err != nil {
		return soaked{}, err
	}
	defer d.end()
	b, err := newBell(d.address, r.commit)
	if err != nil {
		return soaked{}, err
	}
	if err := errors.Join(b.ring(ctx, soakPush, 0), s.ended(ctx, soakPush)); err != nil { // which makes everything warm
		return soaked{}, err
	}
	start := time.Now()
	if err := errors.Join(b.ring(ctx, soakPush, 0), s.ended(ctx, 2*soakPush)); err != nil {
		return soaked{}, err
	}
	result := soaked{full: soakPush / time.Since(start).Seconds()}
	result.rate = result.full / 2
	n := int(result.rate * float64(seconds))
	watching, enough := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { result.rss = watchRSS(watching, d) })
	err = b.ring(ctx, n, result.rate)
	enough()
	watcher.Wait()
	return result, errors.Join(err, s.ended(ctx, 2*soakPush+n))
}

// watchRSS returns the memory of the daemon in each second, in MiB.
func watchRSS(ctx context.Context, d *daemon) (all []float64) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return all
		}
		if u, err := usageOf(d.cmd.Process.Pid); err == nil {
			all = append(all, u.rss)
		}
	}
}

// slope is by what percentage of their mean numbers that come once a second grow in a second: least squares.
func slope(all []float64) float64 {
	n := float64(len(all))
	var x, y, xx, xy float64
	for i, v := range all {
		x, y, xx, xy = x+float64(i), y+v, xx+float64(i*i), xy+float64(i)*v
	}
	return 100 * (n*xy - x*y) / (n*xx - x*x) / (y / n)
}

// ended waits until n runs have succeeded.
func (s *server) ended(ctx context.Context, n int) error {
	var got int64
	for start := time.Now(); time.Since(start) < 2*time.Minute; <-time.After(20 * time.Millisecond) {
		var err error
		if got, err = s.admin.ZCard(ctx, "{millrace}:runs:state:succeeded").Result(); err != nil && !errors.Is(err, redis.Nil) || int(got) == n {
			return err
		}
	}
	return fmt.Errorf("%d of %d runs have succeeded after two minutes", got, n)
}

// bell sends pushes of one commit, each to another branch and from another commit, so that each is one of its own.
type bell struct {
	address string
	push    map[string]any
	rung    int
}

func newBell(address, commit string) (*bell, error) {
	bodies, err := recordedPushes()
	if err != nil {
		return nil, err
	}
	b := &bell{address: address}
	if err := json.Unmarshal(bodies[0], &b.push); err != nil {
		return nil, err
	}
	b.push["after"], b.push["deleted"], b.push["forced"] = commit, false, true
	if at, ok := b.push["repository"].(map[string]any); ok {
		at["full_name"] = "octo/repo"
	}
	return b, nil
}

// ring sends n pushes, rate of them a second or, with rate 0, as fast as they are answered.
func (b *bell) ring(ctx context.Context, n int, rate float64) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: inFlight}}
	defer client.CloseIdleConnections()
	start := time.Now()
	for i := range n {
		if rate > 0 {
			<-time.After(time.Until(start.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
		}
		b.rung++
		b.push["ref"], b.push["before"] = fmt.Sprintf("refs/heads/b%d", b.rung%1000), fmt.Sprintf("%024x%016x", b.rung, rand.Uint64())
		body, err := json.Marshal(b.push)
		if err != nil {
			return err
		}
		from := newSender(b.address, hookSecret, http.StatusAccepted, body)
		from.client = client
		from.id.Store(int64(b.rung) << 32)
		if err := from.deliver(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// acknowledge answers what a forge's API is told.
func acknowledge(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write([]byte("{}"))
}
