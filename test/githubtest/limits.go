package githubtest

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Limits are how much the API takes, by GitHub's 'Rate limits for the REST API'; 0: any number.
type Limits struct {
	Requests   int // in an hour: the primary limit
	Created    int // statuses in a minute: the secondary limit on creating content
	Concurrent int // requests at once: another secondary limit
}

// Real are the limits that GitHub documents for a user's token.
var Real = Limits{Requests: 5000, Created: 80, Concurrent: 100}

// Limit sets the limits, and begins to count anew.
func (s *Server) Limit(l Limits) {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	s.limits.Limits = l
	s.limits.hour, s.limits.minute = window{}, window{}
}

// limits are Limits and what was used of them.
type limits struct {
	mu sync.Mutex
	Limits
	hour, minute window
	inside       int
}

// window is a span of time in which something is counted.
type window struct {
	end  time.Time
	used int
}

// take counts one more, in a new window of length d if the last is over, and tells whether it is within most.
func (w *window) take(d time.Duration, most int) bool {
	if now := time.Now(); now.After(w.end) {
		*w = window{end: now.Add(d)}
	}
	if most > 0 && w.used >= most {
		return false
	}
	w.used++
	return true
}

const secondary = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."

// enter lets a request in, which leaves when it is done, or refuses it.
func (l *limits) enter(w http.ResponseWriter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	within := l.hour.take(time.Hour, l.Requests)
	h := w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(l.Requests))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, l.Requests-l.hour.used)))
	h.Set("X-RateLimit-Used", strconv.Itoa(l.hour.used))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(l.hour.end.Unix(), 10))
	h.Set("X-RateLimit-Resource", "core")
	if l.Requests == 0 {
		h.Set("X-RateLimit-Remaining", "4999")
	}
	switch {
	case !within:
		refuse(w, http.StatusForbidden, "API rate limit exceeded for user ID 1.")
		return false
	case l.Concurrent > 0 && l.inside >= l.Concurrent:
		refuse(w, http.StatusForbidden, secondary)
		return false
	}
	l.inside++
	return true
}

func (l *limits) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inside--
}

// create counts a status that is to be made, or refuses it.
func (l *limits) create(w http.ResponseWriter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.minute.take(time.Minute, l.Created) {
		return true
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(time.Until(l.minute.end).Seconds())+1))
	refuse(w, http.StatusForbidden, secondary)
	return false
}

// faultText is what GitHub says with an HTTP status that is injected.
func faultText(status int) string {
	if status == http.StatusForbidden || status == http.StatusTooManyRequests {
		return secondary
	}
	return http.StatusText(status)
}
