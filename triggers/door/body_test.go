package door_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/millrace-ci/millrace/triggers/door"
)

// endless is a body of some length, counted as it is sent.
type endless struct {
	left int64
	sent *atomic.Int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), e.left)
	e.left -= n
	e.sent.Add(n)
	return int(n), nil
}

// TestGigabyteWithoutLength is one of the inputs that has broken others.
func TestGigabyteWithoutLength(t *testing.T) {
	t.Parallel()
	in := newCounting()
	server := httptest.NewServer(mux(open(t, config(in))))
	defer server.Close()
	var sent atomic.Int64
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/hooks/hub", &endless{1 << 30, &sent})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Client().CloseIdleConnections()
	resp, err := server.Client().Do(r) // chunked, as its length is not known
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %s, want 413", resp.Status)
	}
	if got := sent.Load(); got > 100<<20 {
		t.Errorf("it took %d bytes to refuse it, want about %d", got, door.DefaultMaxBody)
	}
	if in.keeps.Load() != 0 {
		t.Error("it was kept")
	}
}

func TestBodiesOfAllLengths(t *testing.T) {
	t.Parallel()
	in := newCounting()
	cfg := config(in)
	cfg.MaxBody = 300_000
	h := mux(open(t, cfg))
	for _, length := range []int{2, 4096, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128 << 10, 299_999, 300_000, 300_001} {
		for _, chunked := range []bool{false, true} {
			body := []byte("{" + strings.Repeat(" ", length-2) + "}")
			r := push(body)
			if chunked {
				r.ContentLength = -1
			}
			a, _ := knock(t, h, r)
			if length > 300_000 {
				if a.Code != http.StatusRequestEntityTooLarge {
					t.Errorf("%d bytes, chunked %v: got %+v, want 413", length, chunked, a)
				}
				continue
			}
			kept, err := in.Get(t.Context(), a.Delivery)
			if err != nil || !bytes.Equal(kept.Body, body) {
				t.Errorf("%d bytes, chunked %v: kept %d bytes, %v", length, chunked, len(kept.Body), err)
			}
		}
	}
}

func TestAnnouncedLengthTakesNoMemory(t *testing.T) { // not parallel: it watches the memory of the whole process
	h := mux(open(t, config(newCounting())))
	const requests = 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range requests {
		r := push([]byte("{}"))
		r.ContentLength = door.DefaultMaxBody
		knock(t, h, r)
	}
	runtime.ReadMemStats(&after)
	if took := (after.TotalAlloc - before.TotalAlloc) / requests; took > 1<<20 {
		t.Errorf("a request that announced 25 MiB and sent 2 bytes took %d bytes of memory", took)
	}
}

func TestBodyEndsEarly(t *testing.T) {
	t.Parallel()
	r := push([]byte("{}"))
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), brokenReader{}))
	got, _ := knock(t, mux(open(t, config(newCounting()))), r)
	if got.Code != 400 || !strings.Contains(got.Reason, "ended early") {
		t.Errorf("got %+v, want 400", got)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestLargeBodiesWaitForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := newCounting()
		cfg := config(in)
		cfg.MaxBody, cfg.MaxHeld = 1<<20, 1<<20
		h := mux(open(t, cfg))
		body := []byte("{" + strings.Repeat(" ", 700<<10) + "}")
		slow, pipe := push(body), (*io.PipeWriter)(nil)
		slow.ContentLength = -1
		slow.Body, pipe = io.Pipe()
		answered := make(chan answer)
		go func() {
			a, _ := knock(t, h, slow)
			answered <- a
		}()
		if _, err := pipe.Write(body[:600<<10]); err != nil {
			t.Fatal(err)
		}
		got, header := knock(t, h, push(body)) // waits while the slow one holds all the room
		if got.Code != 503 || header.Get("Retry-After") == "" {
			t.Errorf("while there is no room: got %+v, want 503 with Retry-After", got)
		}
		if got, _ := knock(t, h, push([]byte("{}"))); got.Code != 202 {
			t.Errorf("a small one: got %+v, want 202", got)
		}
		go func() {
			_, _ = pipe.Write(body[600<<10:])
			_ = pipe.Close()
		}()
		if a := <-answered; a.Code != 202 {
			t.Errorf("the slow one: got %+v, want 202", a)
		}
		if got, _ := knock(t, h, push(body)); got.Code != 202 {
			t.Errorf("when there is room again: got %+v, want 202", got)
		}
	})
}
