package door_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/door"
	"github.com/millrace-ci/millrace/triggers/inbox"
	"github.com/millrace-ci/millrace/triggers/inbox/meminbox"
)

// forge is a Source whose deliveries look like GitHub's. Without a secret it is shut.
type forge struct{ secret string }

func (f forge) Verify(h http.Header, claim string, body []byte) (triggers.Scope, error) {
	if f.secret == "" {
		return triggers.Scope{}, fmt.Errorf("%w: give it one", triggers.ErrShut)
	}
	if !hmac.Equal([]byte(h.Get("X-Hub-Signature-256")), []byte(sign(f.secret, body))) {
		return triggers.Scope{}, fmt.Errorf("%w: compare the secrets", triggers.ErrSignature)
	}
	return triggers.Scope{RepositoryID: claim}, nil
}

func (forge) Heading(h http.Header) (triggers.Heading, error) {
	if h.Get("X-Gitea-Event") != "" {
		return triggers.Heading{}, fmt.Errorf("%w: this comes from a Gitea, use /hooks/gitea", triggers.ErrHeading)
	}
	kind := h.Get("X-GitHub-Event")
	if kind == "" {
		return triggers.Heading{}, fmt.Errorf("%w: no X-GitHub-Event", triggers.ErrHeading)
	}
	return triggers.Heading{Kind: kind, Key: h.Get("X-GitHub-Delivery"), Hook: h.Get("X-GitHub-Hook-ID"), Acts: kind == "push"}, nil
}

func (forge) Parse(triggers.Delivery) (triggers.Event, error) {
	panic("the door parsed a body")
}

func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

const (
	secret = "it's a secret to everybody"
	now    = 1_772_366_400 // seconds since 1970
)

// config is a door that works, with the forges hub and, without a secret, shut.
func config(in inbox.Inbox) door.Config {
	return door.Config{
		Forges:  map[string]triggers.Source{"hub": forge{secret}, "shut": forge{}},
		Inbox:   in,
		Plan:    func(context.Context, ...string) error { return nil },
		URL:     "https://ci.example.com/",
		Now:     func() time.Time { return time.Unix(now, 0).UTC() },
		Metrics: metrics.NewDoor(prometheus.NewRegistry(), "hub", "shut"),
		Log:     slog.New(slog.DiscardHandler),
	}
}

func open(t testing.TB, cfg door.Config) *door.Door {
	t.Helper()
	d, err := door.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// mux serves d where the daemon does.
func mux(d *door.Door) http.Handler {
	m := http.NewServeMux()
	m.Handle("/hooks/{forge}", d)
	return m
}

var keys atomic.Int64

// push is a new, signed delivery of a push.
func push(body []byte) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/hooks/hub", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-GitHub-Event", "push")
	r.Header.Set("X-GitHub-Delivery", "key-"+strconv.FormatInt(keys.Add(1), 10))
	r.Header.Set("X-Hub-Signature-256", sign(secret, body))
	return r
}

// answer is what the door says on the wire.
type answer struct {
	Code     int    `json:"-"`
	Delivery string `json:"delivery"`
	Status   string `json:"status"`
	Reason   string `json:"reason"`
	URL      string `json:"url"`
}

// knock has h answer r.
func knock(t testing.TB, h http.Handler, r *http.Request) (answer, http.Header) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{Code: w.Code}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("answer %d %q: %v", w.Code, w.Body, err)
	}
	return a, w.Header()
}

// counting is an inbox that counts the deliveries it is given, and can fail.
type counting struct {
	*meminbox.Inbox
	keeps atomic.Int64
	err   error
}

func newCounting() *counting { return &counting{Inbox: meminbox.New()} }

func (c *counting) Keep(ctx context.Context, d triggers.Delivery) (inbox.Receipt, error) {
	c.keeps.Add(1)
	if c.err != nil {
		return inbox.Receipt{}, c.err
	}
	return c.Inbox.Keep(ctx, d)
}
