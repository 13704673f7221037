package local

import (
	"io"
	"time"
)

// MaxLine is the longest line of a log.
const MaxLine = maxLine

// Lines writes pieces as a container's output into a log of at most size bytes, as the keeper does.
func Lines(to io.Writer, size int, now func() time.Time, pieces ...[]byte) error {
	j := &journal{to: to, now: now, max: size}
	w := j.writer(taskName)
	for _, piece := range pieces {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	w.end()
	return j.err
}
