package h2_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/runners/kube/h2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts net/http's server, and returns a client for it and how often that dialed.
func serve(t *testing.T, handle http.HandlerFunc) (c *http.Client, at string, dialed *atomic.Int64) {
	t.Helper()
	server := httptest.NewUnstartedServer(handle)
	server.EnableHTTP2 = true
	server.StartTLS()
	dialed = new(atomic.Int64)
	transport := h2.New(func(ctx context.Context) (net.Conn, error) {
		dialed.Add(1)
		d := tls.Dialer{Config: &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, NextProtos: []string{"h2"}, ServerName: "example.com"}}
		return d.DialContext(ctx, "tcp", server.Listener.Addr().String())
	})
	t.Cleanup(func() {
		transport.Close()
		server.CloseClientConnections()
		server.Close()
	})
	return &http.Client{Transport: transport}, server.URL, dialed
}

func get(ctx context.Context, t *testing.T, c *http.Client, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("get %s: %v", url, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// TestAnswer reads an answer, whose request has a header that takes several frames.
func TestAnswer(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789", 6000)
	c, at, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RequestURI() != "/a%20b?c=d" || r.Header.Get("Authorization") != "Bearer x" || r.Header.Get("Long") != long {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "hello")
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/a%20b?c=d", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {"Bearer x"}, "Long": {long}, "Connection": {"close"}}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "hello" || resp.StatusCode != http.StatusCreated || resp.ContentLength != 5 || resp.Header.Get("Content-Length") != "5" {
		t.Errorf("got %d, %d bytes announced, %q and error %v", resp.StatusCode, resp.ContentLength, body, err)
	}
}

// TestLarge moves more than the windows hold, read in pieces and as it comes, while nobody reads another answer.
func TestLarge(t *testing.T) {
	t.Parallel()
	want := bytes.Repeat([]byte("0123456789abcdef"), 3<<16)
	c, at, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(want) })
	get(t.Context(), t, c, at) // It fills its window, and no more.
	for _, wrap := range []func(io.Reader) io.Reader{
		func(r io.Reader) io.Reader { return r },
		func(r io.Reader) io.Reader { return struct{ io.Reader }{r} },
	} {
		var got bytes.Buffer
		if _, err := io.Copy(&got, wrap(get(t.Context(), t, c, at).Body)); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("got %d bytes and error %v, want %d", got.Len(), err, len(want))
		}
	}
}

// TestMany keeps 1,000 answers open that say one thing: over few connections, and with no goroutine for each.
func TestMany(t *testing.T) {
	t.Parallel()
	const n = 1000
	said := make(chan struct{})
	c, at, dialed := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "I am %s\n", r.URL.Path)
		_ = http.NewResponseController(w).Flush()
		<-said
		_, _ = io.WriteString(w, "done")
	})
	bodies := make([]io.ReadCloser, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			resp := get(t.Context(), t, c, fmt.Sprintf("%s/%d", at, i))
			line := make([]byte, len(fmt.Sprintf("I am /%d\n", i)))
			if _, err := io.ReadFull(resp.Body, line); err != nil || string(line) != fmt.Sprintf("I am /%d\n", i) {
				t.Errorf("answer %d: got %q and error %v", i, line, err)
			}
			bodies[i] = resp.Body
		})
	}
	group.Wait()
	stacks := make([]byte, 32<<20)
	ours := 0
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(stack, "/kube/h2.(*") {
			ours++
		}
	}
	if dialed.Load() > 10 || ours > 2*int(dialed.Load())+10 { // Other tests run beside it.
		t.Errorf("got %d connections and %d goroutines for %d answers", dialed.Load(), ours, n)
	}
	close(said)
	for i, body := range bodies {
		if rest, err := io.ReadAll(body); err != nil || string(rest) != "done" {
			t.Errorf("answer %d: got %q and error %v, want its end", i, rest, err)
		}
	}
}

// TestEnds has answers end other than by their end: nobody may take that for it.
func TestEnds(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	var gone sync.WaitGroup
	c, at, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/silent" {
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, "begun")
		_ = http.NewResponseController(w).Flush()
		switch r.URL.Path {
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/left":
			<-r.Context().Done()
			gone.Done()
		}
	})
	if text, err := io.ReadAll(get(t.Context(), t, c, at+"/abort").Body); err == nil || string(text) != "begun" {
		t.Errorf("aborted: got %q and error %v, want one", text, err)
	}

	gone.Add(2)
	ctx, cancel := context.WithCancelCause(t.Context())
	left := get(ctx, t, c, at+"/left").Body
	cause := errors.New("nobody reads it")
	time.AfterFunc(10*time.Millisecond, func() { cancel(cause) })
	if text, err := io.ReadAll(left); !errors.Is(err, cause) || string(text) != "begun" {
		t.Errorf("canceled: got %q and error %v, want %v", text, err, cause)
	}
	closed := get(t.Context(), t, c, at+"/left").Body
	closed.Close()
	if _, err := closed.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("closed: got error %v, want one", err)
	}
	gone.Wait() // The server was told of both.

	ctx, end := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer end()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/silent", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := c.Do(req); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer in time: got %v and error %v", resp, err)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	c, at, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	body := get(t.Context(), t, c, at).Body
	c.Transport.(*h2.Transport).Close()
	if _, err := io.ReadAll(body); !errors.Is(err, net.ErrClosed) {
		t.Errorf("an open answer: got error %v, want %v", err, net.ErrClosed)
	}
	if resp, err := c.Get(at); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a request later: got %v and error %v, want %v", resp, err, net.ErrClosed)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	c, at, dialed := serve(t, func(http.ResponseWriter, *http.Request) {})
	for _, send := range []func() (*http.Response, error){
		func() (*http.Response, error) { return c.Post(at, "text/plain", strings.NewReader("x")) },
		func() (*http.Response, error) { return c.Head(at) },
	} {
		if resp, err := send(); err == nil || dialed.Load() > 0 {
			t.Errorf("got %v after %d connections, want an error", resp, dialed.Load())
		}
	}
	failed := errors.New("no route to host")
	away := &http.Client{Transport: h2.New(func(context.Context) (net.Conn, error) { return nil, failed })}
	if resp, err := away.Get(at); !errors.Is(err, failed) {
		t.Errorf("got %v and error %v, want %v", resp, err, failed)
	}
}
