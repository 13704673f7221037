package door_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/door"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAccepts(t *testing.T) {
	t.Parallel()
	in := newCounting()
	body := []byte(`{"ref":"refs/heads/main"}`)
	r := push(body)
	r.URL.RawQuery = "repository=42"
	for name, value := range map[string]string{
		"X-GitHub-Hook-ID": "7", "User-Agent": "GitHub-Hookshot/1", "Idempotency-Key": "once",
		"Authorization": "Basic c2VjcmV0", "Cookie": "session=secret", "X-Forwarded-For": "10.0.0.1",
		"X-Hub-Signature": "sha1=secret", "X-Gitea-Signature": "secret", "X-Gitlab-Token": "secret", "X-Github-Secret-Of-Mine": "secret",
	} {
		r.Header.Set(name, value)
	}
	got, header := knock(t, mux(open(t, config(in))), r)
	id := triggers.DeliveryID("hub", r.Header.Get("X-GitHub-Delivery"))
	want := answer{Code: 202, Delivery: id, Status: "accepted", URL: "https://ci.example.com/deliveries/" + id}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if got := header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type: got %q, want application/json", got)
	}
	kept, err := in.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	wantKept := inbox.Record{Delivery: triggers.Delivery{
		ID: id, Forge: "hub", Key: r.Header.Get("X-GitHub-Delivery"), Kind: "push", Hook: "7", Body: body, At: time.Unix(now, 0),
		Scope: triggers.Scope{RepositoryID: "42"},
		Header: http.Header{
			"Content-Type": {"application/json"}, "User-Agent": {"GitHub-Hookshot/1"}, "Idempotency-Key": {"once"},
			"X-Github-Event": {"push"}, "X-Github-Delivery": {r.Header.Get("X-GitHub-Delivery")}, "X-Github-Hook-Id": {"7"},
		},
	}}
	if diff := cmp.Diff(wantKept, kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

func TestDuplicateNamesTheFirst(t *testing.T) {
	t.Parallel()
	h := mux(open(t, config(newCounting())))
	first := push([]byte(`{"n":1}`))
	again := push([]byte(`{"n":2}`))
	again.Header.Set("X-GitHub-Delivery", first.Header.Get("X-GitHub-Delivery"))
	a, _ := knock(t, h, first)
	got, _ := knock(t, h, again)
	if got.Code != 202 || got.Status != "duplicate" || got.Delivery != a.Delivery || got.URL != a.URL {
		t.Errorf("got %+v, want a duplicate of %+v", got, a)
	}
	if want := "replay " + a.Delivery; !strings.Contains(got.Reason, want) {
		t.Errorf("reason %q does not say %q", got.Reason, want)
	}
}

func TestIgnoredIsKeptAsHeadersOnly(t *testing.T) {
	t.Parallel()
	in := newCounting()
	h := mux(open(t, config(in)))
	r := push([]byte(`{"zen":"Speak like a human."}`))
	r.Header.Set("X-GitHub-Event", "ping")
	got, _ := knock(t, h, r)
	if got.Code != 202 || got.Status != "ignored" || !strings.Contains(got.Reason, `"ping"`) {
		t.Errorf("got %+v, want 202 ignored, naming the kind", got)
	}
	kept, err := in.Get(t.Context(), got.Delivery)
	if err != nil || kept.Body != nil || kept.Kind != "ping" || kept.Ignored != got.Reason {
		t.Errorf("kept: got %+v, %v, want the headers only, and why", kept, err)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	tests := map[string]struct {
		body   string
		change func(*http.Request)
		code   int
		reason string // a part of it
	}{
		"unknown forge":         {change: func(r *http.Request) { r.URL.Path = "/hooks/nowhere" }, code: 404, reason: "no forge is configured"},
		"GET on a hook":         {change: func(r *http.Request) { r.Method = http.MethodGet }, code: 405, reason: "by POST"},
		"announced too long":    {change: func(r *http.Request) { r.ContentLength = 26 << 20 }, code: 413, reason: "longer than 26214400 bytes"},
		"no secret":             {change: func(r *http.Request) { r.URL.Path = "/hooks/shut" }, code: 401, reason: "give it one"},
		"no signature":          {change: func(r *http.Request) { r.Header.Del("X-Hub-Signature-256") }, code: 401, reason: "compare the secrets"},
		"forged signature":      {change: set("X-Hub-Signature-256", sign("guess", []byte("{}"))), code: 401, reason: "signature does not match"},
		"forged and all wrong":  {body: "[]", change: func(r *http.Request) { r.Header = http.Header{"Content-Encoding": {"gzip"}} }, code: 401},
		"no event":              {change: func(r *http.Request) { r.Header.Del("X-GitHub-Event") }, code: 400, reason: "X-GitHub-Event"},
		"no delivery id":        {change: func(r *http.Request) { r.Header.Del("X-GitHub-Delivery") }, code: 400, reason: "name the event"},
		"another forge's":       {change: set("X-Gitea-Event", "push"), code: 400, reason: "/hooks/gitea"},
		"no content type":       {change: func(r *http.Request) { r.Header.Del("Content-Type") }, code: 400, reason: "application/json"},
		"unknown content type":  {change: set("Content-Type", "text/html"), code: 400, reason: `"text/html"`},
		"content type nonsense": {change: set("Content-Type", "application/json;;=;"), code: 400, reason: "application/json"},
		"gzip":                  {body: "\x1f\x8b\x08", change: set("Content-Encoding", "gzip"), code: 400, reason: `"gzip"`},
		"empty body":            {body: "", change: nil, code: 400, reason: "{"},
		"an array":              {body: `[{"ref":"x"}]`, code: 400, reason: "{"},
		"space before":          {body: ` {}`, code: 400, reason: "{"},
		"null":                  {body: `null`, code: 400, reason: "{"},
		"form without payload":  {body: `a=b&c`, change: set("Content-Type", "application/x-www-form-urlencoded"), code: 400, reason: "payload"},
		"form malformed":        {body: `payload=%7b%`, change: set("Content-Type", "application/x-www-form-urlencoded"), code: 400, reason: "malformed"},
		"form of an array":      {body: `payload=%5b%5d`, change: set("Content-Type", "application/x-www-form-urlencoded"), code: 400, reason: "{"},
		"long header":           {body: `{}`, change: set("X-GitHub-Event", strings.Repeat("p", 2000)), code: 400, reason: "X-Github-Event"},
		"binary header":         {body: `{}`, change: set("X-GitHub-Delivery", "a\xffb"), code: 400, reason: "ASCII"},
		"many headers": {body: `{}`, change: func(r *http.Request) {
			for i := range 100 {
				r.Header.Set(fmt.Sprintf("X-GitHub-%d", i), "x")
			}
		}, code: 400, reason: "more than 32"},
		"one header many times": {body: `{}`, change: func(r *http.Request) {
			r.Header["X-Github-Event"] = slices.Repeat([]string{"push"}, 33)
		}, code: 400, reason: "more than 32"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newCounting()
			r := push([]byte(tc.body))
			if tc.change != nil {
				tc.change(r)
			}
			got, header := knock(t, mux(open(t, config(in))), r)
			if got.Code != tc.code || got.Status != "refused" || !strings.Contains(got.Reason, tc.reason) {
				t.Errorf("got %+v, want %d refused because of %q", got, tc.code, tc.reason)
			}
			if got.Delivery != "" || got.URL != "" || in.keeps.Load() != 0 {
				t.Errorf("got %+v and %d calls of the inbox, want nothing kept", got, in.keeps.Load())
			}
			if tc.code == 405 && header.Get("Allow") != "POST" {
				t.Errorf("Allow: got %q, want POST", header.Get("Allow"))
			}
		})
	}
}

func TestForm(t *testing.T) {
	t.Parallel()
	in := newCounting()
	r := push([]byte("other=1&payload=%7B%22a%22%3A+%22b%26c%22%7D&payload=%5B%5D&x"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	a, _ := knock(t, mux(open(t, config(in))), r)
	if a.Status != "accepted" {
		t.Fatalf("got %+v, want it accepted", a)
	}
	kept, err := in.Get(t.Context(), a.Delivery)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(kept.Body), `{"a": "b&c"}`; got != want {
		t.Errorf("body: got %s, want %s", got, want)
	}
	if got := kept.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type: got %q, want what the kept body is", got)
	}
}

func TestInboxDown(t *testing.T) {
	t.Parallel()
	in := newCounting()
	in.err = errors.New("dial tcp 10.1.2.3:6379: connection refused")
	got, header := knock(t, mux(open(t, config(in))), push([]byte("{}")))
	if got.Code != 503 || got.Status != "failed" || header.Get("Retry-After") == "" {
		t.Errorf("got %+v, want 503 with Retry-After", got)
	}
	if strings.Contains(got.Reason, "6379") {
		t.Errorf("reason %q shows our inside to a stranger", got.Reason)
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	in := newCounting()
	cfg := config(in)
	cfg.Metrics = metrics.NewDoor(reg, "hub")
	h := mux(open(t, cfg))
	forged := push([]byte("{}"))
	forged.Header.Set("X-Hub-Signature-256", "sha256=00")
	unknown := push([]byte("{}"))
	unknown.URL.Path = "/hooks/nowhere"
	for _, r := range []*http.Request{push([]byte("{}")), forged, forged, unknown} {
		knock(t, h, r)
	}
	in.err = errors.New("down")
	knock(t, h, push([]byte("{}")))
	const want = `
# HELP millrace_deliveries_total Webhook deliveries answered, by forge and answer.
# TYPE millrace_deliveries_total counter
millrace_deliveries_total{answer="accepted",forge="hub"} 1
millrace_deliveries_total{answer="duplicate",forge="hub"} 0
millrace_deliveries_total{answer="failed",forge="hub"} 1
millrace_deliveries_total{answer="ignored",forge="hub"} 0
millrace_deliveries_total{answer="refused",forge="hub"} 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "millrace_deliveries_total"); err != nil {
		t.Error(err)
	}
}

func TestConfigNamesAllMistakes(t *testing.T) {
	t.Parallel()
	_, err := door.New(door.Config{Forges: map[string]triggers.Source{"hub": nil}, URL: "ci.example.com", MaxBody: -1})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"inbox", "plan queue", "metrics", "logger", `"hub"`, "negative", `"ci.example.com"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not speak of %s", err, want)
		}
	}
}

func TestSecretsAreNotLogged(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	cfg := config(newCounting())
	cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := push([]byte("{}"))
	knock(t, mux(open(t, cfg)), r)
	if !strings.Contains(log.String(), "status=accepted") || strings.Contains(log.String(), r.Header.Get("X-Hub-Signature-256")) {
		t.Errorf("log: %s\nwant the answer and no signature", log.String())
	}
}
