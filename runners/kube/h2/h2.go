// Package h2 is a client of HTTP/2 (RFC 9113) for thousands of answers that stay open for hours and say little: such an
// answer costs a few hundred bytes and no goroutine but its reader's, where that of net/http holds one more with 8 KiB of
// stack. Package kube follows logs by it. It calls one server, over connections that its user dials. It refuses what logs
// do not need: requests with a body, and pushes; trailers it passes over.
package h2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	window    = 256 << 10        // bytes that a server may send on a stream before they are read
	windowAll = 1 << 30          // and on a connection; the streams bound what there can be
	beat      = 30 * time.Second // a connection is asked for a sign of life each time
	silence   = beat + 15*time.Second
	slow      = 15 * time.Second // a write that takes longer has failed
	tries     = 3                // connections that a request may find ended before it was sent
)

// errUnsent means that a connection took a request no more: nothing of it was sent.
var errUnsent = errors.New("the connection takes no more requests")

// Transport is an http.RoundTripper for GET. It is safe for concurrent use.
type Transport struct {
	dial  func(context.Context) (net.Conn, error)
	turn  chan struct{} // holds one: who has it may dial
	group sync.WaitGroup

	mu     sync.Mutex
	conns  []*conn
	closed bool
}

// New makes a Transport of what dial connects to, which has agreed to speak HTTP/2. It starts nothing.
func New(dial func(context.Context) (net.Conn, error)) *Transport {
	t := &Transport{dial: dial, turn: make(chan struct{}, 1)}
	t.turn <- struct{}{}
	return t
}

// RoundTrip implements http.RoundTripper. The body that it returns ends with io.EOF only where the server has said that
// it ends, and reads on until the request's context ends. It also is an io.WriterTo, which needs no buffer.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.Body != http.NoBody {
		req.Body.Close()
		return nil, errors.New("h2: requests with a body are not made")
	}
	if req.Method != http.MethodGet && req.Method != "" {
		return nil, fmt.Errorf("h2: requests are GET, not %s", req.Method)
	}
	for try := 1; ; try++ {
		c, err := t.conn(req.Context())
		if err != nil {
			return nil, err
		}
		s, err := c.begin(req)
		if errors.Is(err, errUnsent) && try < tries {
			continue
		}
		if err != nil {
			return nil, err
		}
		return s.response(req)
	}
}

// conn returns a connection that has room for a stream, which is taken.
func (t *Transport) conn(ctx context.Context) (*conn, error) {
	if c := t.free(); c != nil {
		return c, nil
	}
	select {
	case <-t.turn:
		defer func() { t.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c := t.free(); c != nil { // Who had the turn before may have dialed it.
		return c, nil
	}
	nc, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	c, err := newConn(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("h2: begin a connection: %w", err)
	}
	c.take()
	return c, t.begin(c)
}

// begin lets a connection be used, unless the transport was closed meanwhile.
func (t *Transport) begin(c *conn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		c.fail(net.ErrClosed)
		return net.ErrClosed
	}
	t.conns = append(t.conns, c)
	t.group.Go(c.keep)
	t.group.Go(func() {
		c.run()
		t.forget(c)
	})
	return nil
}

// free takes room for a stream, nil if there is none.
func (t *Transport) free() *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.conns {
		if c.take() {
			return c
		}
	}
	return nil
}

func (t *Transport) forget(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns = slices.DeleteFunc(t.conns, func(other *conn) bool { return other == c })
}

// Close ends all connections, and so all that is read, and returns when nothing of them runs. Requests after it fail, as
// what is read does, with net.ErrClosed.
func (t *Transport) Close() {
	t.mu.Lock()
	t.closed = true
	conns := slices.Clone(t.conns)
	t.mu.Unlock()
	for _, c := range conns {
		c.fail(net.ErrClosed)
	}
	t.group.Wait()
}
