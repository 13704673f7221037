package githubtest

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/test/forgekit"
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
	s.limits.hour, s.limits.minute = forgekit.Window{}, forgekit.Window{}
}

// limits are Limits and what was used of them.
type limits struct {
	mu sync.Mutex
	Limits
	hour, minute forgekit.Window
	inside       int
}

const secondary = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."

// enter lets a request in, which leaves when it is done, or refuses it.
func (l *limits) enter(w http.ResponseWriter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	within := l.hour.Take(time.Hour, l.Requests)
	h := w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(l.Requests))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, l.Requests-l.hour.Used)))
	h.Set("X-RateLimit-Used", strconv.Itoa(l.hour.Used))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(l.hour.End.Unix(), 10))
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
	if l.minute.Take(time.Minute, l.Created) {
		return true
	}
	w.Header().Set("Retry-After", strconv.Itoa(l.minute.RetryAfter()))
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
