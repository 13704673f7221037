package forgekit_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-ci/millrace/test/forgekit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCourier(t *testing.T) {
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.Copy(w, r.Body)
	}))
	defer hook.Close()
	var bell forgekit.Bell
	c := forgekit.NewCourier(5*time.Second, bell.Ring)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	ended := make(chan struct{})
	go func() { defer close(ended); c.Run(ctx) }()
	for _, url := range []string{hook.URL, "http://127.0.0.1:1/", "::"} {
		c.Send(ctx, forgekit.Delivery{UUID: forgekit.UUID(), URL: url, Header: http.Header{"X-Event": {"push"}}, Body: []byte("hello")})
	}
	if err := bell.Wait(ctx, func() bool { return len(c.Sent()) == 3 }); err != nil {
		t.Fatal(err)
	}
	sent := c.Sent()
	if d := sent[0]; d.Status != http.StatusAccepted || string(d.Answer) != "hello" || d.Err != "" || len(d.UUID) != 36 {
		t.Errorf("delivery: got %+v", d)
	}
	for _, d := range sent[1:] {
		if d.Status != 0 || d.Err == "" {
			t.Errorf("delivery to nobody: got %+v", d)
		}
	}
	cancel()
	<-ended
	c.Send(ctx, forgekit.Delivery{}) // It does not hang.
}

func TestBell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b forgekit.Bell
		b.Ring()
		n, woken := 0, make(chan error)
		go func() { woken <- b.Wait(t.Context(), func() bool { n++; return n == 3 }) }()
		for range 2 {
			synctest.Wait()
			b.Ring()
		}
		if err := <-woken; err != nil || n != 3 {
			t.Errorf("got %v after %d looks, want it woken by each of 2 rings", err, n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Wait(ctx, func() bool { return false }); err == nil {
			t.Error("it returns without a reason")
		}
	})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	var f forgekit.Faults
	f.Fail(1, http.StatusTooManyRequests, 7*time.Second)
	f.Fail(1, http.StatusBadGateway, 0)
	f.Slow(1, time.Millisecond)
	f.Cut(1)
	var done atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.Suffer(w, r, w.WriteHeader, func(w http.ResponseWriter, _ *http.Request) { done.Add(1); w.WriteHeader(http.StatusCreated) })
	}))
	defer server.Close()
	for i, want := range []struct {
		status int // 0: no answer
		after  string
		done   int32
	}{{429, "7", 0}, {502, "", 0}, {201, "", 1}, {0, "", 2}, {201, "", 3}} {
		resp, err := server.Client().Post(server.URL, "", nil)
		if err != nil {
			resp = &http.Response{Header: http.Header{}, Body: http.NoBody}
		}
		resp.Body.Close()
		if resp.StatusCode != want.status || resp.Header.Get("Retry-After") != want.after || done.Load() != want.done {
			t.Errorf("request %d: got %d, %v, Retry-After %q, done %d, want %+v", i, resp.StatusCode, err, resp.Header.Get("Retry-After"), done.Load(), want)
		}
	}
}
