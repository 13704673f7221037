package kube

import (
	"errors"
	"io"
)

// A stream is read in pieces that grow from one to the other: most of thousands of streams say little.
const minRead, maxRead = 512, 64 << 10

// pump copies a stream that is open. whole tells that its end is the log's end. Errors: the stream's, writeError.
func (f *follower) pump(body io.Reader, l *lines, whole bool) error {
	buf := make([]byte, minRead)
	for {
		n, err := body.Read(buf)
		ended := errors.Is(err, io.EOF)
		var failed error
		apart(func() {
			_, _ = l.Write(buf[:n])
			if ended {
				l.end(whole)
			}
			failed = f.flush(l)
		})
		switch {
		case failed != nil:
			return &writeError{failed}
		case ended, f.place.full:
			return nil
		case err != nil:
			return err
		}
		if n == len(buf) && n < maxRead {
			buf = make([]byte, 4*n)
		}
	}
}

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
