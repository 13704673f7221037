package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/agent/api"
	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/runners"
)

var unit = logs.Key{Run: "run1", Task: "unit", Attempt: 1}

const unitLog = "/api/v1/runs/run1/tasks/unit/log"

func (h *house) write(offset int, text string) {
	h.t.Helper()
	if err := h.logs.Append(h.t.Context(), unit, int64(offset), []byte(text)); err != nil {
		h.t.Error(err)
	}
}

func (h *house) end() {
	h.t.Helper()
	if err := h.logs.End(h.t.Context(), unit); err != nil {
		h.t.Error(err)
	}
}

func TestLogAsText(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(snapshot(1))
	if got := h.ask(http.MethodGet, unitLog, 200); got.Body.Len() > 0 || got.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("a log that never was: got %v %q, want empty text", got.Header(), got.Body)
	}
	h.write(0, "one\n<b>two</b>\n")
	for path, want := range map[string]string{
		unitLog: "one\n<b>two</b>\n", unitLog + "?attempt=1": "one\n<b>two</b>\n", unitLog + "?offset=4": "<b>two</b>\n",
		unitLog + "?offset=15": "", unitLog + "?offset=99": "", unitLog + "?follow=false&offset=14": "\n",
	} {
		if got := h.ask(http.MethodGet, path, 200).Body.String(); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	long := strings.Repeat("0123456789abcde\n", 50_000)
	h.write(15, long)
	if got := h.ask(http.MethodGet, unitLog+"?offset=15", 200).Body.String(); got != long {
		t.Errorf("a long log: got %d bytes, want %d", len(got), len(long))
	}
}

// cut is logs that cannot be read beyond their first chunk.
type cut struct{ logs.Logs }

func (c cut) Read(ctx context.Context, k logs.Key, offset int64, wait time.Duration) (logs.Chunk, error) {
	if offset > 0 {
		return logs.Chunk{}, errAway
	}
	return c.Logs.Read(ctx, k, offset, wait)
}

func TestLogCutShortIsNotWhole(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(snapshot(1))
	h.write(0, "half")
	h.cfg.Logs = cut{h.logs}
	srv := httptest.NewServer(api.New(h.cfg))
	defer srv.Close()
	res, err := srv.Client().Get(srv.URL + unitLog)
	if err == nil {
		defer res.Body.Close()
		_, err = io.ReadAll(res.Body)
	}
	if err == nil {
		t.Error("a log that was cut short reads as a whole one")
	}
	h.api = api.New(h.cfg)
	h.ask(http.MethodGet, unitLog+"?offset=1", http.StatusServiceUnavailable)
	h.ask(http.MethodGet, unitLog+"?offset=1&follow=true", http.StatusServiceUnavailable)
}

// event is a server-sent event; one without a name is a comment.
type event struct {
	name, text string
	next       int
}

// events reads an answer to its end. It fails the test when anything in it is no event.
func events(t *testing.T, body io.Reader) (all []event) {
	t.Helper()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 4<<20)
	var e event
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			e.name = value
		case "id":
			e.next, _ = strconv.Atoi(value)
		case "data":
			var data struct{ Text string }
			if err := json.Unmarshal([]byte(value), &data); err != nil {
				t.Errorf("data %q: %v", value, err)
			}
			e.text = data.Text
		case "":
			if lines.Text() == "" {
				all, e = append(all, e), event{}
			}
		default:
			t.Errorf("a line that is no field: %q", lines.Text())
		}
	}
	return all
}

// text is what the log events say, and where the last event left off.
func text(all []event) (said string, next int, ended bool) {
	for _, e := range all {
		if e.name != "" {
			said, next, ended = said+e.text, e.next, e.name == "end"
		}
	}
	return said, next, ended
}

// pipes is a listener without sockets, so that a server can stand in a bubble with a clock of its own.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// follow asks a real server, with the timeouts of a real one, for a log, and returns when the answer has ended. What is
// done meanwhile runs beside.
func (h *house) follow(path string, meanwhile func()) []event {
	h.t.Helper()
	p := pipes{make(chan net.Conn), make(chan struct{})}
	srv := &http.Server{Handler: h.api, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(p) }()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			p.conns <- there
			return here, nil
		},
	}}
	go meanwhile()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Hour) // of the bubble: one that never ends fails its test
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://mill"+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
		h.t.Errorf("got %s, want text/event-stream", got)
	}
	all := events(h.t, res.Body)
	res.Body.Close()
	close(p.done)
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		h.t.Error(err)
	}
	return all
}

// after waits in the bubble's time.
func after(d time.Duration) { <-time.After(d) }

func TestFollowGrowsAndEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.create(snapshot(1))
		began := time.Now()
		all := h.follow(unitLog+"?follow=true", func() {
			h.write(0, "one\n")
			for n, part := range []string{"two\ndata: no event\n\n", "\xe4\xb8", "\xad\n"} { // a character in two parts
				after(time.Minute)
				h.write([]int{4, 24, 26}[n], part)
			}
			after(time.Minute)
			h.end()
		})
		said, next, ended := text(all)
		if want := "one\ntwo\ndata: no event\n\n中\n"; said != want || next != 28 || !ended {
			t.Errorf("got %q up to %d, ended %v, want %q up to 28, ended", said, next, ended, want)
		}
		if took := time.Since(began); took != 4*time.Minute {
			t.Errorf("it ended after %v, want it with the log, after 4 minutes", took)
		}
	})
}

func TestFollowBeatsWhileNothingComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.create(snapshot(1))
		all := h.follow(unitLog+"?follow=true", func() {
			after(time.Minute)
			h.end()
		})
		if len(all) < 10 || all[0].name != "" || all[len(all)-1].name != "end" {
			t.Errorf("got %v, want comments, then the end", all)
		}
	})
}

func TestFollowComesBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(snapshot(1))
	h.write(0, "one\ntwo\n")
	h.end()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, unitLog+"?follow=1&offset=0", nil)
	r.Header.Set("Last-Event-ID", "4") // of which the newer word wins
	w := httptest.NewRecorder()
	h.api.ServeHTTP(w, r)
	if said, next, ended := text(events(t, w.Body)); said != "two\n" || next != 8 || !ended {
		t.Errorf("got %q up to %d, ended %v, want the rest", said, next, ended)
	}
}

// TestFollowEndsWithoutLog follows tasks that end, or go away, without a log that ends.
func TestFollowEndsWithoutLog(t *testing.T) {
	t.Parallel()
	begun := func(task string) run.Fact { return run.Started{Task: task, Attempt: 1, Worker: "w1", At: start} }
	ended := func(task string, class runners.Class) run.Fact {
		return run.Ended{Task: task, Attempt: 1, At: start, Result: runners.Result{Class: class}}
	}
	for name, c := range map[string]struct {
		task  string
		facts []run.Fact
	}{
		"skipped before it ran":   {"image", []run.Fact{begun("unit"), ended("unit", runners.Failure), begun("lint"), ended("lint", runners.Succeeded)}},
		"canceled before it ran":  {"image", []run.Fact{run.Cancel{By: "mei", Reason: "no", At: start}}},
		"its worker said no word": {"unit", []run.Fact{begun("unit"), ended("unit", runners.Lost)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t)
				r := h.create(snapshot(1))
				all := h.follow("/api/v1/runs/run1/tasks/"+c.task+"/log?follow=true", func() {
					after(20 * time.Second)
					for _, f := range c.facts {
						var err error
						if r, _, err = store.Apply(t.Context(), h.store, r, f); err != nil {
							t.Error(err)
						}
					}
					h.write(0, "a last word")
				})
				want := ""
				if c.task == "unit" {
					want = "a last word"
				}
				if said, _, ended := text(all); !ended || said != want {
					t.Errorf("got %q, ended %v, want %q and the end", said, ended, want)
				}
			})
		})
	}
}

// gone is runs of which every one is deleted after it was found once.
type gone struct {
	store.Runs
	found *int
}

func (g gone) Load(ctx context.Context, id string) (run.Run, error) {
	if *g.found++; *g.found > 1 {
		return run.Run{}, store.ErrNotFound
	}
	return g.Runs.Load(ctx, id)
}

func TestFollowEndsWithItsRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.create(snapshot(1))
		h.cfg.Runs = gone{h.store, new(int)}
		h.api = api.New(h.cfg)
		if _, _, ended := text(h.follow(unitLog+"?follow=true", func() {})); !ended {
			t.Error("it did not end")
		}
	})
}

func FuzzFollow(f *testing.F) {
	f.Add([]byte("one\ntwo\r\n"), 3)
	f.Add([]byte("event: end\ndata: {}\n\n中文\xff\xe4\xb8"), 22)
	f.Fuzz(func(t *testing.T, data []byte, offset int) {
		h := newHouse(t)
		h.create(snapshot(1))
		h.write(0, string(data))
		h.end()
		offset = min(max(offset, 0), len(data))
		w := h.ask(http.MethodGet, unitLog+"?follow=true&offset="+strconv.Itoa(offset), 200)
		said, next, ended := text(events(t, w.Body))
		whole, _ := json.Marshal(string(data[offset:]))
		var want string
		_ = json.Unmarshal(whole, &want) // what is not UTF-8 is shown as such
		if said != want || next != len(data) || !ended {
			t.Errorf("got %q up to %d, ended %v, want %q up to %d", said, next, ended, want, len(data))
		}
	})
}
