package door_test

import (
	"bytes"
	"crypto/hmac"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/triggers/inbox/meminbox"
	"github.com/millrace-ci/millrace/triggers/inbox/redisinbox"
)

// What P1 and P2 compare: over HTTP on loopback, with 64 requests in flight, BenchmarkAccept* to BenchmarkBare and
// BenchmarkForged to BenchmarkBare. The ratio is the result.

func BenchmarkBare(b *testing.B) { drive(b, http.HandlerFunc(bare), http.StatusAccepted, false) }

// bare reads the body, checks the signature, and answers.
func bare(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !hmac.Equal([]byte(r.Header.Get("X-Hub-Signature-256")), []byte(sign(secret, body))) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func BenchmarkForged(b *testing.B) {
	drive(b, mux(open(b, config(meminbox.New()))), http.StatusUnauthorized, true)
}

func BenchmarkAcceptEverysec(b *testing.B) { benchmarkAccept(b, "everysec") }

func BenchmarkAcceptAlways(b *testing.B) { benchmarkAccept(b, "always") }

func benchmarkAccept(b *testing.B, fsync string) {
	rdb := redistest.Start(b, "--appendonly", "yes", "--appendfsync", fsync).Client()
	in, err := redisinbox.New(redisinbox.Config{Rdb: rdb})
	if err != nil {
		b.Fatal(err)
	}
	drive(b, mux(open(b, config(in))), http.StatusAccepted, false)
}

// drive sends new deliveries to h, and wants the code for each.
func drive(b *testing.B, h http.Handler, code int, forge bool) {
	server := httptest.NewServer(h)
	defer server.Close()
	client := server.Client()
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = 64
	body := payload(10 << 10)
	signature := sign(secret, body)
	if forge {
		signature = sign("guess", body)
	}
	var n atomic.Int64
	b.SetParallelism(32) // times GOMAXPROCS, which is 2 on the machine in mind
	b.SetBytes(int64(len(body)))
	before := cpuTime(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server.URL+"/hooks/hub", bytes.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			r.Header = http.Header{
				"Content-Type": {"application/json"}, "X-Github-Event": {"push"}, "X-Hub-Signature-256": {signature},
				"X-Github-Delivery": {fmt.Sprintf("%s-%d", b.Name(), n.Add(1))}, "User-Agent": {"GitHub-Hookshot/044aadd"},
				"X-Github-Hook-Id": {"292430182"}, "X-Github-Hook-Installation-Target-Id": {"79929171"},
			}
			resp, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != code {
				b.Errorf("got %s, want %d", resp.Status, code)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

// cpuTime is what this process has used, the senders of the requests included: it drifts less than the clock where
// others use the machine.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// payload is a push that is at least size bytes long, of commits that differ as commits do.
func payload(size int) []byte {
	var s strings.Builder
	s.WriteString(`{"ref":"refs/heads/main","commits":[`)
	for i := 0; s.Len() < size; i++ {
		if i > 0 {
			s.WriteByte(',')
		}
		commit := strings.TrimPrefix(sign("commit", fmt.Append(nil, i)), "sha256=")
		fmt.Fprintf(&s, `{"id":%q,"tree_id":%q,"message":"change %d","author":{"name":"Ann","email":"ann@example.com"},"modified":["a/%d.go"]}`,
			commit[:40], commit[24:], i, i)
	}
	s.WriteString(`]}`)
	return []byte(s.String())
}
