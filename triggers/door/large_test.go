package door_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/triggers/door"
)

// dripping is a connection whose sender writes to in, and whose reads end at the deadline that the door sets.
type dripping struct {
	*httptest.ResponseRecorder
	in    *io.PipeWriter
	timer *time.Timer // nil without a deadline
}

func (d *dripping) SetReadDeadline(t time.Time) error {
	if d.timer != nil {
		d.timer.Stop()
	}
	if d.timer = nil; !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), func() { d.in.CloseWithError(os.ErrDeadlineExceeded) })
	}
	return nil
}

// drip has h answer a signed push of body on a connection of its own; the code comes when there is an answer.
func drip(h http.Handler, body []byte) (*dripping, <-chan int) {
	r := push(body)
	d := dripping{ResponseRecorder: httptest.NewRecorder()}
	r.Body, d.in = io.Pipe()
	code := make(chan int, 1)
	go func() {
		h.ServeHTTP(&d, r)
		_ = r.Body.Close()
		code <- d.Code
	}()
	return &d, code
}

// blank is a push of about size bytes.
func blank(size int) []byte { return []byte("{" + strings.Repeat(" ", size-2) + "}") }

func TestSilentStrangersKeepNobodyOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := mux(open(t, config(newCounting())))
		announced := blank(door.DefaultMaxBody)
		for range 100 {
			d, code := drip(h, announced)
			if _, err := d.in.Write(announced[:65<<10]); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if got := <-code; got != http.StatusRequestTimeout {
					t.Errorf("a silent one: got %d, want 408", got)
				}
			}()
		}
		synctest.Wait()
		begin := time.Now()
		if got, _ := knock(t, h, push(blank(20<<20))); got.Code != http.StatusAccepted {
			t.Errorf("a signed one: got %+v, want 202", got)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("a signed one waited %v", took)
		}
	})
}

func TestLargeBodiesNeedProgress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size, piece int // a piece comes each second
		code        int
		within      time.Duration
	}{
		"steady":            {5 << 20, 200 << 10, 202, 30 * time.Second},
		"a byte each time":  {5 << 20, 1, 408, 11 * time.Second},
		"just not enough":   {5 << 20, 100 << 10, 408, 11 * time.Second},
		"too long in all":   {25 << 20, 300 << 10, 408, 61 * time.Second},
		"small may be slow": {60 << 10, 1 << 10, 202, 60 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				body := blank(c.size)
				d, code := drip(mux(open(t, config(newCounting()))), body)
				rest := bytes.NewReader(body)
				if c.piece == 1 {
					_, _ = io.CopyN(d.in, rest, 64<<10)
				}
				begin := time.Now()
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					for {
						if _, err := io.CopyN(d.in, rest, int64(c.piece)); err != nil {
							break
						}
						time.Sleep(time.Second) // of the bubble's clock
					}
					_ = d.in.Close()
				}()
				if got := <-code; got != c.code {
					t.Errorf("got %d, want %d", got, c.code)
				}
				if took := time.Since(begin); took > c.within {
					t.Errorf("it took %v, want at most %v", took, c.within)
				}
				<-sent
				if c.code == http.StatusAccepted && d.timer != nil {
					t.Error("a deadline is left behind a body that has come")
				}
			})
		})
	}
}

// TestSilentConnection has a real server end a real connection.
func TestSilentConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(mux(open(t, config(newCounting()))))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "POST /hooks/hub HTTP/1.1\r\nHost: x\r\nContent-Length: 26214400\r\n\r\n"+string(blank(65<<10))); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("got %q, %v, want the connection ended", said, err)
	}
	head, body, _ := strings.Cut(string(said), "\r\n\r\n")
	var a answer
	if err := json.Unmarshal([]byte(body), &a); err != nil || !strings.HasPrefix(head, "HTTP/1.1 408 ") || !strings.Contains(a.Reason, "too slowly") {
		t.Errorf("got %q, want 408 and a reason", said)
	}
}
