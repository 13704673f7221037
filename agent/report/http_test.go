package report_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
)

// send posts to a server that answers with handler.
func send(t *testing.T, handler http.HandlerFunc) error {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer hush")
	answer, err := report.Send(report.Client(server.Client()), req)
	if err != nil && answer != report.AnswerOf(err) || err == nil && (answer.Status/100 != 2 || answer.Words != "") {
		t.Errorf("answer %+v, and the error %v", answer, err)
	}
	return err
}

func TestSend(t *testing.T) {
	t.Parallel()
	const permanent, again = "permanent", "again"
	soon := strconv.FormatInt(time.Now().Add(10*time.Minute).Unix(), 10)
	for _, c := range []struct {
		name   string
		status int
		header [2]string
		body   string
		want   string // nothing, permanent, again, or a wait (within 5 s)
	}{
		{"created", 201, [2]string{}, "", ""},
		{"no content", 204, [2]string{}, "", ""},
		{"unauthorized", 401, [2]string{}, "", permanent},
		{"forbidden", 403, [2]string{}, `{"message":"Resource not accessible by integration"}`, permanent},
		{"forbidden, a limit that is not spent", 403, [2]string{"X-RateLimit-Remaining", "4999"}, "", permanent},
		{"not found", 404, [2]string{}, "", permanent},
		{"unprocessable", 422, [2]string{"Retry-After", "5"}, "", permanent},
		{"request timeout", 408, [2]string{}, "", again},
		{"internal", 500, [2]string{}, "", again},
		{"bad gateway", 502, [2]string{}, "<html>", again},
		{"unavailable", 503, [2]string{}, "", again},
		{"unavailable for a while", 503, [2]string{"Retry-After", "30"}, "", "30s"},
		{"too many", 429, [2]string{"Retry-After", "7"}, "", "7s"},
		{"too many, at once again", 429, [2]string{"Retry-After", "0"}, "", "1s"},
		{"too many, for ever", 429, [2]string{"Retry-After", "99999999999"}, "", "1h"},
		{"too many, nonsense", 429, [2]string{"Retry-After", "soon"}, "", "1m"},
		{"too many, with a date", 429, [2]string{"Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)}, "", "1m"},
		{"too many, nothing said", 429, [2]string{}, "", "1m"},
		{"secondary limit", 403, [2]string{"Retry-After", "60"}, "", "1m"},
		{"secondary limit, only in words", 403, [2]string{}, `{"message":"You have exceeded a secondary rate limit."}`, "1m"},
		{"secondary limit, with the reset of another", 403, [2]string{"X-RateLimit-Remaining", "4999"}, `{"message":"You have exceeded a secondary rate limit."}`, "60s"},
		{"too many, with the reset of another", 429, [2]string{"X-RateLimit-Remaining", "4999"}, "", "60s"},
		{"primary limit", 403, [2]string{"X-RateLimit-Remaining", "0"}, "", "10m"},
		{"primary limit as too many", 429, [2]string{"X-RateLimit-Remaining", "0"}, "", "10m"},
	} {
		err := send(t, func(w http.ResponseWriter, _ *http.Request) {
			if c.header[0] != "" {
				w.Header().Set(c.header[0], c.header[1])
			}
			w.Header().Set("X-RateLimit-Reset", soon)
			if c.want == "1m" {
				w.Header().Del("X-RateLimit-Reset")
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		})
		wait, werr := time.ParseDuration(c.want)
		switch {
		case c.want == "" && err != nil,
			c.want != "" && err == nil,
			report.IsPermanent(err) != (c.want == permanent),
			werr == nil && (report.Wait(err) > wait || report.Wait(err) < wait-5*time.Second),
			werr != nil && report.Wait(err) != 0:
			t.Errorf("%s: got %v (permanent %v, wait %v), want %q", c.name, err, report.IsPermanent(err), report.Wait(err), c.want)
		}
		var r *report.Refusal
		if err != nil && (!errors.As(err, &r) || r.Status != c.status) {
			t.Errorf("%s: got %v, want a refusal with %d", c.name, err, c.status)
		}
	}
}

func TestSendShowsTheReasonAndNoToken(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"message":"Validation Failed","errors":[{"message":"too many statuses"}]}`: `"Validation Failed: too many statuses"`,
		`{"message":"no","errors":["a"],"url":"x"}`:                                  `"no: a"`,
		`{"message":"no","errors":"Validation failed: too many"}`:                    `"no: Validation failed: too many"`,
		`{"message":"no","errors":[{"code":"custom"},7,null,{"message":"hush"}]}`:    `"no: ***"`,
		`{"message":"no","errors":null}`:                                             `"no"`,
		"Bearer hush is wrong\x1b[31m":                                               `"Bearer *** is wrong\x1b[31m"`,
		strings.Repeat("x", 1<<20):                                                   `…"`,
	} {
		err := send(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, body)
		})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") || len(err.Error()) > 1000 {
			t.Errorf("%.60q: got %v, want it to say %s", body, err, want)
		}
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another host was asked") }))
	defer elsewhere.Close()
	for name, c := range map[string]struct {
		status int
		to     string
		ok     bool
	}{
		"same host, same method": {http.StatusTemporaryRedirect, "/here", true},
		"same host, as a GET":    {http.StatusFound, "/here", false},
		"another host":           {http.StatusPermanentRedirect, elsewhere.URL, false},
		"round and round":        {http.StatusTemporaryRedirect, "/", false},
	} {
		err := send(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/here" {
				http.Redirect(w, r, c.to, c.status)
			}
		})
		if c.ok != (err == nil) || !c.ok && !report.IsPermanent(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ctx := range []context.Context{t.Context(), ctx} {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1:1/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := report.Send(report.Client(nil), req); err == nil || report.IsPermanent(err) {
			t.Errorf("got %v, want an error that is worth another try", err)
		}
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"", 3, ""}, {"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"äöü", 3, "äöü"}, {"äöüß", 3, "äö…"}, {"構建成功了", 4, "構建成…"},
	} {
		if got := report.Cut(c.text, c.n); got != c.want {
			t.Errorf("Cut(%q, %d): got %q, want %q", c.text, c.n, got, c.want)
		}
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		want   int // what is read; 0: an error
		again  bool
	}{
		{200, `{"id":7,"more":[]}`, 7, false},
		{200, `<html>`, 0, true},
		{200, `{"id":7,"much":"` + strings.Repeat("x", 9<<20) + `"}`, 0, true},
		{404, `{"message":"hush is not there"}`, 0, false},
		{502, ``, 0, true},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Next-Page", "2")
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		var got struct{ ID int }
		header, err := report.Get(t.Context(), report.Client(server.Client()), server.URL, http.Header{"Authorization": {"Bearer hush"}}, &got)
		server.Close()
		if (err == nil) != (c.want != 0) || err == nil && (got.ID != c.want || header.Get("X-Next-Page") != "2") {
			t.Errorf("%d %.20s: got %+v, %v, want %d", c.status, c.body, got, err, c.want)
		}
		if err != nil && (report.IsPermanent(err) == c.again || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%d %.20s: got %v (permanent %v), want one worth another try: %v", c.status, c.body, err, report.IsPermanent(err), c.again)
		}
	}
}

// answer is a transport that gives one answer, whatever is asked.
type answer http.Response

func (a *answer) RoundTrip(*http.Request) (*http.Response, error) { return (*http.Response)(a), nil }

// FuzzSend has any answer at all make an error that is bounded, shows no token, and names a wait that can be waited for.
func FuzzSend(f *testing.F) {
	f.Add(403, "60", "0", "1756800000", `{"message":"secondary rate limit","errors":[{"message":"Bearer hush-4711"}]}`)
	f.Add(422, "", "", "", `{"message":"Validation Failed","errors":"hush-4711"}`)
	f.Add(429, "Wed, 02 Sep 2026 12:00:00 GMT", "-1", "99999999999999999999", `{"message":{"a":["hush-4711"]}}`)
	f.Add(200, "", "", "", "")
	f.Fuzz(func(t *testing.T, status int, after, remaining, reset, body string) {
		if status < 200 || status > 599 || status/100 == 3 {
			return // What net/http deals with itself.
		}
		header := http.Header{"Retry-After": {after}, "X-Ratelimit-Remaining": {remaining}, "X-Ratelimit-Reset": {reset}}
		client := &http.Client{Transport: &answer{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://forge/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer hush-4711")
		_, err = report.Send(report.Client(client), req)
		switch wait := report.Wait(err); {
		case (err == nil) != (status/100 == 2):
			t.Errorf("%d: got %v", status, err)
		case err == nil:
		case strings.Contains(err.Error(), "hush-4711"), len(err.Error()) > 4000:
			t.Errorf("%d bytes: %.300s", len(err.Error()), err)
		case wait < 0 || wait > time.Hour, wait > 0 && report.IsPermanent(err):
			t.Errorf("%v: wait %v, permanent %v", err, wait, report.IsPermanent(err))
		}
	})
}
