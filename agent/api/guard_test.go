package api_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/agent/api"
)

// guarded sends a request through the guard of a server at http://ci.example:8080 and tells what came of it.
func guarded(peer, method, path, host string, head map[string]string) *httptest.ResponseRecorder {
	g := api.Guard("http://ci.example:8080", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr, r.Host = peer, host
	for name, value := range head {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

func TestGuard(t *testing.T) {
	t.Parallel()
	const here, home = "127.0.0.1:4711", "127.0.0.1:8080"
	header := func(pairs ...string) map[string]string {
		head := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			head[pairs[i]] = pairs[i+1]
		}
		return head
	}
	for name, c := range map[string]struct {
		peer, method, host string
		head               map[string]string
		pass               bool
	}{
		"loopback":                     {here, "GET", home, nil, true},
		"another loopback address":     {"127.8.9.1:1", "GET", "127.0.0.2", nil, true},
		"IPv6":                         {"[::1]:4711", "GET", "[::1]:8080", nil, true},
		"IPv6 without a port":          {"[::1]:4711", "GET", "[::1]", nil, true},
		"IPv4 in IPv6":                 {"[::ffff:127.0.0.1]:1", "GET", home, nil, true},
		"localhost":                    {here, "GET", "localhost:8080", nil, true},
		"LOCALHOST":                    {here, "GET", "LOCALHOST", nil, true},
		"the configured name":          {here, "GET", "ci.example:8080", nil, true},
		"another machine":              {"10.0.0.9:4711", "GET", home, nil, false},
		"another machine by IPv6":      {"[2001:db8::1]:4711", "GET", home, nil, false},
		"a peer without an address":    {"@", "GET", home, nil, false},
		"a name that resolves here":    {here, "GET", "evil.example:8080", nil, false},
		"a name like an address":       {here, "GET", "127.0.0.1.evil.example", nil, false},
		"a name below localhost":       {here, "GET", "x.localhost", nil, false},
		"this machine's address":       {here, "GET", "10.0.0.9:8080", nil, false},
		"no host":                      {here, "GET", "", nil, false},
		"every address":                {here, "GET", "0.0.0.0:8080", nil, false},
		"Forwarded":                    {here, "GET", home, header("Forwarded", "for=10.0.0.9"), false},
		"Via":                          {here, "GET", home, header("Via", "1.1 proxy"), false},
		"X-Forwarded-For":              {here, "GET", home, header("X-Forwarded-For", "127.0.0.1"), false},
		"X-Forwarded-Host":             {here, "GET", home, header("x-forwarded-host", "localhost"), false},
		"X-Real-IP":                    {here, "GET", home, header("X-Real-IP", "127.0.0.1"), false},
		"a command of this machine":    {here, "POST", home, nil, true},
		"a form of our own page":       {here, "POST", home, header("Sec-Fetch-Site", "same-origin", "Origin", "http://"+home), true},
		"a form of another site":       {here, "POST", home, header("Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example"), false},
		"another site, an old browser": {here, "POST", home, header("Origin", "http://evil.example"), false},
		"another port of ours":         {here, "POST", home, header("Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:9"), false},
		"a sandboxed frame":            {here, "POST", home, header("Origin", "null"), false},
		"a link from another site":     {here, "GET", home, header("Sec-Fetch-Site", "cross-site"), true},
	} {
		for _, path := range []string{"/", "/api/v1/runs"} {
			w := guarded(c.peer, c.method, path, c.host, c.head)
			if got := w.Code == http.StatusNoContent; got != c.pass {
				t.Errorf("%s: passes %s: got %v (%s), want %v", name, path, got, w.Body, c.pass)
			}
			if c.pass {
				continue
			}
			if isJSON := w.Header().Get("Content-Type") == "application/problem+json"; w.Code != http.StatusForbidden || isJSON != (path != "/") {
				t.Errorf("%s: %s: got %d %s, want 403 in the words of its readers", name, path, w.Code, w.Header().Get("Content-Type"))
			}
			if w.Header().Get("X-Content-Type-Options") != "nosniff" || strings.Contains(w.Body.String(), "evil") {
				t.Errorf("%s: got %v %s, want no sniffing and no strangers' words", name, w.Header(), w.Body)
			}
		}
	}
}

func FuzzGuardHost(f *testing.F) {
	for _, host := range []string{"localhost", "[::1]:80", "127.0.0.1:", "[127.0.0.1]", "ci.example", "evil.example:80", "::1", "[::ffff:7f00:1]", "localhost:x"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if guarded("127.0.0.1:1", "GET", "/", host, nil).Code != http.StatusNoContent {
			return
		}
		name := host
		if h, _, err := net.SplitHostPort(host); err == nil {
			name = h
		}
		name = strings.ToLower(strings.Trim(name, "[]"))
		if ip, err := netip.ParseAddr(name); name != "localhost" && name != "ci.example" && (err != nil || !ip.Unmap().IsLoopback()) {
			t.Errorf("%q passes", host)
		}
	})
}
