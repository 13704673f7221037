//go:build chaos

package chaos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"testing"
	"time"
)

// wire is what lies between the agents and Redis: a toxiproxy of its own, told by its HTTP API what to do to what passes.
type wire struct {
	t      *testing.T
	api    string
	url    string // of Redis, as the agents are told
	toxics int    // so many were named
}

// toxic is something that toxiproxy does to every connection, see its README.
type toxic struct {
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Stream     string         `json:"stream"`
	Attributes map[string]int `json:"attributes"`
}

func (x toxic) String() string { return fmt.Sprintf("%s %v %s", x.Type, x.Attributes, x.Stream) }

// newWire lays one from a port of host to that of Redis there.
func newWire(t *testing.T, host string) *wire {
	t.Helper()
	cmd := exec.Command(toxiproxy, "-host", host, "-port", "8474")
	cmd.Env = []string{"LOG_LEVEL=error"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // Killed is what it is to be.
	})
	w := &wire{t: t, api: "http://" + host + ":8474", url: "redis://" + host + ":6380"}
	ctx, cancel := patiently()
	defer cancel()
	for w.call(ctx, http.MethodGet, "/version", nil) != nil {
		if ctx.Err() != nil {
			t.Fatal("toxiproxy does not answer")
		}
		pass(20 * time.Millisecond)
	}
	w.order(http.MethodPost, "/proxies", map[string]any{"name": "redis", "listen": host + ":6380", "upstream": host + ":6379", "enabled": true})
	return w
}

// cut breaks every connection and refuses new ones, or takes them again.
func (w *wire) cut(yes bool) {
	w.order(http.MethodPost, "/proxies/redis", map[string]any{"enabled": !yes})
}

// spoil lets a toxic work, mend ends it.
func (w *wire) spoil(x toxic) { w.order(http.MethodPost, "/proxies/redis/toxics", x) }

func (w *wire) mend(x toxic) { w.order(http.MethodDelete, "/proxies/redis/toxics/"+x.Name, nil) }

// heal ends all that is done to what passes.
func (w *wire) heal() { w.order(http.MethodPost, "/reset", nil) }

// order is a call that has to succeed.
func (w *wire) order(method, path string, body any) {
	w.t.Helper()
	ctx, cancel := patiently()
	defer cancel()
	if err := w.call(ctx, method, path, body); err != nil {
		w.t.Errorf("toxiproxy: %s %s: %v", method, path, err)
	}
}

func (w *wire) call(ctx context.Context, method, path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, w.api+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if said, _ := io.ReadAll(res.Body); res.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s: %s", res.Status, said)
	}
	return nil
}

// draw draws a toxic: what passes comes late, in a trickle, in pieces, or not at all; or the connection breaks.
func (w *wire) draw(rng *rand.Rand) toxic {
	w.toxics++
	x := toxic{Name: fmt.Sprintf("toxic-%d", w.toxics), Stream: []string{"upstream", "downstream"}[rng.IntN(2)]}
	switch rng.IntN(6) {
	case 0:
		x.Type, x.Attributes = "latency", map[string]int{"latency": 20 + rng.IntN(300), "jitter": rng.IntN(100)}
	case 1:
		x.Type, x.Attributes = "bandwidth", map[string]int{"rate": 4 + rng.IntN(60)} // KB a second
	case 2:
		x.Type, x.Attributes = "slicer", map[string]int{"average_size": 100, "size_variation": 60, "delay": 500}
	case 3:
		x.Type, x.Attributes = "limit_data", map[string]int{"bytes": 100 + rng.IntN(20_000)}
	case 4:
		x.Type, x.Attributes = "reset_peer", map[string]int{"timeout": rng.IntN(2000)}
	default:
		x.Type, x.Attributes = "timeout", map[string]int{"timeout": 0} // it lies down, and nobody says so
	}
	return x
}
