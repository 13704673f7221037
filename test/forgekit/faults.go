package forgekit

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Faults are answers that an API is to give instead of its own. The zero value has none; it is safe for concurrent use.
type Faults struct {
	mu   sync.Mutex
	next []fault
}

type fault struct {
	status     int
	retryAfter time.Duration
}

// Fail has the next n requests answered with an HTTP status, and with a Retry-After if retryAfter is not 0.
func (f *Faults) Fail(n, status int, retryAfter time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		f.next = append(f.next, fault{status, retryAfter})
	}
}

// Take takes the next fault, sets its header, and returns the status to answer with; 0: there is none.
func (f *Faults) Take(w http.ResponseWriter) (status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.next) == 0 {
		return 0
	}
	first := f.next[0]
	f.next = f.next[1:]
	if first.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(first.retryAfter.Seconds())))
	}
	return first.status
}
