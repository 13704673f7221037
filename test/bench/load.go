package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// hookSecret signs the deliveries.
const hookSecret = "the bench's own"

// inFlight is how many deliveries are under way at a time.
const inFlight = 64

// recordings are pushes as GitHub sent them.
const recordings = "../../triggers/github/testdata/push*.json"

// recordedPushes reads those recordings that are as long as most pushes: 8 to 13 KB.
func recordedPushes() ([][]byte, error) {
	files, err := filepath.Glob(recordings)
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if 8<<10 <= len(body) && len(body) <= 13<<10 {
			all = append(all, body)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no recording in %s is 8 to 13 KB long: start this in test/bench", recordings)
	}
	return all, nil
}

// sender delivers pushes to one address, over connections that it keeps. It does next to nothing for each, so that it
// leaves the machine to those who are measured.
type sender struct {
	address string
	bodies  [][]byte
	secret  string
	want    int // status
	id      atomic.Int64
}

// closed sends n deliveries as fast as they are answered, and returns how many that is in a second.
func (s *sender) closed(ctx context.Context, n int) (rate float64, err error) {
	due := make(chan time.Time, n)
	for range n {
		due <- time.Time{}
	}
	close(due)
	start := time.Now()
	_, err = s.send(ctx, due)
	return float64(n) / time.Since(start).Seconds(), err
}

// open sends n deliveries, rate of them a second whether they are answered or not, and returns how long each answer took
// in milliseconds, counted from when its delivery was due.
func (s *sender) open(ctx context.Context, n, rate int) ([]float64, error) {
	due := make(chan time.Time, n)
	go func() {
		defer close(due)
		start := time.Now()
		for i := range n {
			at := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
			<-time.After(time.Until(at))
			due <- at
		}
	}()
	return s.send(ctx, due)
}

// send delivers at each time that comes, and returns how long after it the answer came.
func (s *sender) send(ctx context.Context, due <-chan time.Time) ([]float64, error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	var took []float64
	var failed error
	for range inFlight {
		all.Go(func() {
			own, err := s.line(ctx, due)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
			if err != nil {
				failed = err
			}
		})
	}
	all.Wait()
	return took, failed
}

// line delivers over one connection.
func (s *sender) line(ctx context.Context, due <-chan time.Time) (took []float64, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	heads := make([][]byte, len(s.bodies))
	for i, body := range s.bodies {
		heads[i] = head(s.address, s.secret, body)
	}
	var buf bytes.Buffer
	answers := bufio.NewReader(conn)
	for at := range due {
		id := s.id.Add(1)
		which := int(id) % len(heads)
		buf.Reset()
		buf.Write(heads[which])
		fmt.Fprintf(&buf, "%s-%08d\r\n\r\n", runID, id)
		buf.Write(s.bodies[which])
		if _, err := conn.Write(buf.Bytes()); err != nil {
			return nil, err
		}
		if err := s.answered(answers); err != nil {
			return nil, err
		}
		took = append(took, float64(time.Since(at).Microseconds())/1000)
	}
	return took, ctx.Err()
}

// runID makes the deliveries of this process other than those of the one before it.
var runID = fmt.Sprintf("%x", time.Now().UnixNano())

// head is all of a request but its delivery's id and its body.
func head(address, secret string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return fmt.Appendf(nil, "POST /hooks/hub HTTP/1.1\r\nHost: %s\r\nUser-Agent: GitHub-Hookshot/044aadd\r\nAccept: */*\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\nX-GitHub-Event: push\r\nX-GitHub-Hook-ID: 292430182\r\n"+
		"X-GitHub-Hook-Installation-Target-ID: 79929171\r\nX-GitHub-Hook-Installation-Target-Type: repository\r\n"+
		"X-Hub-Signature-256: sha256=%s\r\nX-GitHub-Delivery: ", address, len(body), hex.EncodeToString(mac.Sum(nil)))
}

// answered reads an answer, and wants it to be the right one.
func (s *sender) answered(from *bufio.Reader) error {
	answer, err := http.ReadResponse(from, nil)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != s.want {
		return fmt.Errorf("a delivery was answered %s: %.200s", answer.Status, text)
	}
	return nil
}
