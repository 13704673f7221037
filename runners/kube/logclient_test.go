package kube_test

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/millrace-ci/millrace/runners/kube"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

// TestLogsOverWhichHTTP reads a log of a cluster that speaks HTTP/2, of one that does not, and of one behind a proxy: each
// time it comes, and as whoever we are to the cluster.
func TestLogsOverWhichHTTP(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		http2, proxied, ours bool
		proto                string
	}{
		"HTTP/2":   {http2: true, ours: true, proto: "HTTP/2.0"},
		"HTTP/1.1": {proto: "HTTP/1.1"},
		"a proxy":  {http2: true, proxied: true, proto: "HTTP/2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer secret-word" || r.URL.Path != "/api/v1/namespaces/ci/pods/pod/log" || r.Header.Get("User-Agent") != "millrace" {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				_, _ = io.WriteString(w, r.Proto)
			}))
			server.EnableHTTP2 = c.http2
			server.StartTLS()
			t.Cleanup(server.Close)
			reach := &rest.Config{Host: server.URL, BearerToken: "secret-word", UserAgent: "millrace"}
			reach.CAData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
			if c.proxied {
				reach.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(tunnel(t)) }
			}
			logs, err := kube.NewLogs(reach)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(logs.Close)
			for range 2 {
				body, err := logs.Open(t.Context(), "ci", "pod", &corev1.PodLogOptions{})
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(body)
				if body.Close(); err != nil || string(text) != c.proto {
					t.Errorf("got %q and error %v, want %q", text, err, c.proto)
				}
			}
			if logs.Own() != c.ours {
				t.Errorf("over connections of our own: got %t, want %t", logs.Own(), c.ours)
			}
		})
	}
}

// tunnel starts a proxy that connects to wherever it is asked to (CONNECT).
func tunnel(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		far, err := net.Dial("tcp", r.Host)
		if r.Method != http.MethodConnect || err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer far.Close()
		near, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer near.Close()
		_, _ = io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(far, near) }()
		_, _ = io.Copy(near, far)
	}))
	t.Cleanup(server.CloseClientConnections)
	return server.URL
}
