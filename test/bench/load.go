package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
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

// sender delivers pushes to one address, over connections that it keeps.
type sender struct {
	client  *http.Client
	url     string
	bodies  [][]byte
	headers []http.Header // of bodies, but for the delivery's id
	want    int           // status
	id      atomic.Int64
}

// newSender signs the bodies with secret.
func newSender(address, secret string, want int, bodies ...[]byte) *sender {
	s := &sender{
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: inFlight, DisableCompression: true}},
		url:    "http://" + address + "/hooks/hub", bodies: bodies, want: want,
	}
	for _, body := range bodies {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		s.headers = append(s.headers, http.Header{
			"User-Agent": {"GitHub-Hookshot/044aadd"}, "Content-Type": {"application/json"}, "X-Github-Event": {"push"},
			"X-Github-Hook-Id": {"292430182"}, "X-Github-Hook-Installation-Target-Id": {"79929171"},
			"X-Github-Hook-Installation-Target-Type": {"repository"}, "X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))},
		})
	}
	return s
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
	due := make(chan time.Time, n) // With room for all, so that nobody who is slow makes the next one late.
	go func() {
		defer close(due)
		start := time.Now()
		for i := range n {
			at := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
			select {
			case <-time.After(time.Until(at)):
				due <- at
			case <-ctx.Done():
				return
			}
		}
	}()
	return s.send(ctx, due)
}

// send delivers at each time that comes, and returns how long after it the answer came.
func (s *sender) send(ctx context.Context, due <-chan time.Time) ([]float64, error) {
	var mu sync.Mutex
	var took []float64
	g, ctx := errgroup.WithContext(ctx)
	for range inFlight {
		g.Go(func() error {
			for at := range due {
				if err := s.deliver(ctx); err != nil {
					return err
				}
				mu.Lock()
				took = append(took, float64(time.Since(at).Microseconds())/1000)
				mu.Unlock()
			}
			return ctx.Err()
		})
	}
	return took, g.Wait()
}

// runID makes the deliveries of this process other than those of the one before it.
var runID = strconv.FormatInt(time.Now().UnixNano(), 36)

// deliver sends a push that nobody sent before, and wants it to be answered as it should be.
func (s *sender) deliver(ctx context.Context) error {
	id := s.id.Add(1)
	which := int(id) % len(s.bodies)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(s.bodies[which]))
	if err != nil {
		return err
	}
	r.Header = maps.Clone(s.headers[which])
	r.Header["X-Github-Delivery"] = []string{runID + "-" + strconv.FormatInt(id, 10)}
	answer, err := s.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != s.want {
		err = fmt.Errorf("a delivery was answered %s: %.200s", answer.Status, text)
	}
	return err
}
