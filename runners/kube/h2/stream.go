package h2

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"

	"golang.org/x/net/http2"
)

// errClosed is what is read of a body that was closed.
var errClosed = errors.New("h2: read of a closed body")

// stream is one answer, and its body. Its fields are under the connection's lock.
type stream struct {
	conn    *conn
	id      uint32
	changed sync.Cond

	head     *head // until the response is made
	answered bool  // it is
	body     []byte
	padding  int // bytes that came with the body and are none of it
	unread   int // bytes of the window that were used and not given back
	read     int // of these, bytes that were read and are to be given back
	err      error
	forget   func() bool // ends waiting for the end of the context
}

// head is the header of an answer.
type head struct {
	status int
	header http.Header
}

// response waits for the header.
func (s *stream) response(req *http.Request) (*http.Response, error) {
	ctx := req.Context() // The request itself is not to be kept.
	forget := context.AfterFunc(ctx, func() { s.cancel(context.Cause(ctx)) })
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.forget = forget
	for s.head == nil && s.err == nil {
		s.changed.Wait()
	}
	if s.head == nil {
		forget()
		return nil, s.why()
	}
	h := s.head
	s.head, s.answered = nil, true
	length, err := strconv.ParseInt(h.header.Get("Content-Length"), 10, 64)
	if err != nil || length < 0 {
		length = -1
	}
	return &http.Response{
		Status: strconv.Itoa(h.status) + " " + http.StatusText(h.status), StatusCode: h.status,
		Proto: "HTTP/2.0", ProtoMajor: 2, Header: h.header, ContentLength: length, Body: s, Request: req,
	}, nil
}

// why is why the stream ended, as a reader is told.
func (s *stream) why() error {
	if errors.Is(s.err, io.EOF) && !s.answered {
		return io.ErrUnexpectedEOF
	}
	return s.err
}

// await returns when there is something of the body, or its end.
func (s *stream) await() error {
	for len(s.body) == 0 && s.err == nil {
		s.changed.Wait()
	}
	if len(s.body) == 0 {
		return s.why()
	}
	return nil
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	s.conn.mu.Lock()
	if err := s.await(); err != nil || len(p) == 0 {
		s.conn.mu.Unlock()
		return 0, err
	}
	n := copy(p, s.body)
	if s.body = s.body[n:]; len(s.body) == 0 {
		s.body = nil
	}
	s.conn.mu.Unlock()
	return n, s.grant(n)
}

// WriteTo implements io.WriterTo.
func (s *stream) WriteTo(w io.Writer) (int64, error) {
	for all := int64(0); ; {
		piece, err := s.take()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		n, err := w.Write(piece)
		all += int64(n)
		if err == nil {
			err = s.grant(len(piece))
		}
		if err != nil {
			return all, err
		}
	}
}

// take takes all of the body that is here.
func (s *stream) take() ([]byte, error) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	err := s.await()
	piece := s.body
	s.body = nil
	return piece, err
}

// grant lets the server send as many bytes as were read, once they are worth a frame.
func (s *stream) grant(n int) error {
	s.conn.mu.Lock()
	s.read += n + s.padding
	s.padding = 0
	due := s.read
	if due < window/2 || s.err != nil {
		s.conn.mu.Unlock()
		return nil
	}
	s.read = 0
	s.unread -= due
	s.conn.mu.Unlock()
	return s.conn.write(func() error { return s.conn.framer.WriteWindowUpdate(s.id, uint32(due)) })
}

// cancel gives the stream up, and tells the server if it goes on.
func (s *stream) cancel(why error) {
	s.conn.mu.Lock()
	open := s.err == nil
	if open {
		s.conn.end(s, why)
	}
	s.conn.mu.Unlock()
	if open {
		_ = s.conn.write(func() error { return s.conn.framer.WriteRSTStream(s.id, http2.ErrCodeCancel) }) // If it fails, the connection is over.
	}
}

// Close implements io.Closer.
func (s *stream) Close() error {
	s.conn.mu.Lock()
	forget := s.forget
	s.body = nil
	s.conn.mu.Unlock()
	forget()
	s.cancel(errClosed)
	return nil
}
