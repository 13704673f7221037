package door

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

// smallBody is the length in bytes up to which bodies are read without asking whether there is room, and at the pace
// that the server allows to all requests.
const smallBody = 64 << 10

// What a large body may cost before anybody knows who sends it.
const (
	roomWithin = 2 * time.Second  // how long it waits for others to be done
	stride     = 1 << 20          // bytes that are progress
	strideIn   = 10 * time.Second // how long it may take to the next one
	largeIn    = time.Minute      // how long it may take from its first 64 KiB to its end
)

// large is what a body takes beyond its first 64 KiB: memory, as much as has really come for, and time, as long as
// more comes. So strangers who announce much and send little, or nothing any more, keep nobody out.
type large struct {
	room *semaphore.Weighted
	conn http.ResponseWriter
	held int64     // bytes of room
	next int       // length at which there is progress again
	end  time.Time // when it must have arrived
}

// progress gives a body that has come to length bytes the time for its next stride. Small ones pay one comparison.
func (l *large) progress(length int) {
	if length < l.next {
		return
	}
	now := time.Now()
	if l.end.IsZero() {
		l.end = now.Add(largeIn)
	}
	l.next = length + stride
	until := now.Add(strideIn)
	if l.end.Before(until) {
		until = l.end
	}
	l.readUntil(until)
}

// arrived takes the deadline away: the server reads on to see the sender hang up, and must not take it for that.
func (l *large) arrived() {
	if !l.end.IsZero() {
		l.readUntil(time.Time{})
	}
}

// readUntil bounds the reading of the body. A connection that cannot be bounded is bounded by its server.
func (l *large) readUntil(t time.Time) { _ = http.NewResponseController(l.conn).SetReadDeadline(t) }

// grow tells whether more bytes may be held, and waits a little until they may.
func (l *large) grow(ctx context.Context, more int64) bool {
	ctx, cancel := context.WithTimeout(ctx, roomWithin)
	defer cancel()
	if l.room.Acquire(ctx, more) != nil {
		return false
	}
	l.held += more
	return true
}
