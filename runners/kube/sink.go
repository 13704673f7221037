package kube

import (
	"errors"
	"io"
)

// pump copies a stream that is open. whole tells that its end is the log's end.
func (f *follower) pump(body io.Reader, l *lines, whole bool) error {
	var buf []byte
	if _, ok := body.(io.WriterTo); !ok { // That of package h2 writes what comes, and has no buffer while nothing does.
		buf = make([]byte, 4<<10)
	}
	_, err := io.CopyBuffer(sink{f, l}, body, buf)
	switch {
	case f.place.full:
		return nil
	case err != nil:
		return err
	}
	l.end(whole)
	return (sink{f, l}).flush()
}

// sink is the log as the end of a stream.
type sink struct {
	*follower
	lines *lines
}

// Write implements io.Writer. Errors: errFull, writeError.
func (s sink) Write(p []byte) (n int, err error) {
	apart(func() {
		n, _ = s.lines.Write(p)
		err = s.flush()
	})
	if err == nil && s.place.full {
		err = errFull
	}
	return n, err
}

func (s sink) flush() error {
	if err := s.follower.flush(s.lines); err != nil {
		return &writeError{err}
	}
	return nil
}

// errFull means that the log takes no more.
var errFull = errors.New("the log is full")

// flush writes the lines that are made, and notes where the log ends then.
func (f *follower) flush(l *lines) error {
	if len(l.out) == 0 {
		return nil
	}
	err := f.write(l.out)
	l.out = nil // Most of thousands of streams say little, and long ago.
	f.place.container, f.place.at, f.place.gap = l.container, l.at, false
	return err
}

// writeError is an error of the log that is written.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
