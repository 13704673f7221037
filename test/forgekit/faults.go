package forgekit

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"time"
)

// Faults are what an API is to do instead of answering well. The zero value has none; it is safe for concurrent use.
type Faults struct {
	mu   sync.Mutex
	next []fault
}

type fault struct {
	status     int
	retryAfter time.Duration
	hold       time.Duration // wait before anything is done
	lost       bool          // do it, and cut the connection instead of answering
}

// Fail has the next n requests answered with an HTTP status, and with a Retry-After if retryAfter is not 0.
func (f *Faults) Fail(n, status int, retryAfter time.Duration) {
	f.add(n, fault{status: status, retryAfter: retryAfter})
}

// Slow has the next n requests answered so much later.
func (f *Faults) Slow(n int, hold time.Duration) { f.add(n, fault{hold: hold}) }

// Cut has the next n requests carried out, and their connections cut before the answer.
func (f *Faults) Cut(n int) { f.add(n, fault{lost: true}) }

func (f *Faults) add(n int, one fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		f.next = append(f.next, one)
	}
}

// Suffer answers a request by the next fault, and by next if there is none. refuse answers with an HTTP status.
func (f *Faults) Suffer(w http.ResponseWriter, r *http.Request, refuse func(status int), next http.HandlerFunc) {
	one := f.take()
	if one.hold > 0 {
		body, _ := io.ReadAll(io.LimitReader(r.Body, maxPush)) // Only then is it seen when the client leaves.
		r.Body = io.NopCloser(bytes.NewReader(body))
		timer := time.NewTimer(one.hold)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case one.lost:
		next(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case one.status != 0:
		if one.retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(one.retryAfter.Seconds())))
		}
		refuse(one.status)
	default:
		next(w, r)
	}
}

// take takes the next fault, the zero one if there is none.
func (f *Faults) take() (one fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.next) > 0 {
		one, f.next = f.next[0], f.next[1:]
	}
	return one
}
