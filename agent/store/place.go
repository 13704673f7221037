package store

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/millrace-ci/millrace/agent/run"
)

// timeWidth is how many hexadecimal digits of milliseconds begin a place: enough until the year 10889.
const timeWidth = 12

var place = regexp.MustCompile(`^[0-9a-f]{12}[A-Za-z0-9_-]{1,64}$`)

// Place is where a run stands in every list: by its creation, then by its id. It is also the cursor of List and Live.
func Place(r run.Run) string { return PlaceOf(r.Plan.CreatedAt) + r.Plan.ID }

// PlaceOf is where the runs of a moment begin in every list.
func PlaceOf(at time.Time) string { return fmt.Sprintf("%0*x", timeWidth, max(at.UnixMilli(), 0)) }

// TimeAt is when the run at a place was created, as far as the place says it.
func TimeAt(p string) time.Time {
	millis, _ := strconv.ParseInt(p[:min(len(p), timeWidth)], 16, 64) // 0 for what is no place
	return time.UnixMilli(millis).UTC()
}

// RunAt is the id of the run at a place.
func RunAt(p string) string { return p[min(len(p), timeWidth):] }

// CheckCursor tells whether a cursor is a place, or "". Errors: ErrCursor.
func CheckCursor(cursor string) error {
	if cursor != "" && !place.MatchString(cursor) {
		return ErrCursor
	}
	return nil
}
