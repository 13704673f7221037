package h2

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	frameSize  = 16 << 10 // bytes of a frame, each way: what every peer takes
	headerSize = 64 << 10 // bytes of a response's header
	lastStream = 1 << 30  // its number: the next one goes over a new connection
)

// conn is one connection. Its lock is that of its streams too: there is little to do under it.
type conn struct {
	nc     net.Conn
	framer *http2.Framer // is read by run alone, and written to under wmu

	wmu    sync.Mutex
	out    *bufio.Writer
	pack   *hpack.Encoder // into header
	header bytes.Buffer

	mu      sync.Mutex
	streams map[uint32]*stream
	taken   int    // streams that are about to begin
	limit   int    // streams that the server takes at once
	next    uint32 // the number of the next stream
	err     error  // why no stream begins any more
	ended   chan struct{}
}

// newConn says the client's preface (RFC 9113, section 3.4).
func newConn(nc net.Conn) (*conn, error) {
	c := &conn{nc: nc, out: bufio.NewWriterSize(nc, 4<<10), streams: map[uint32]*stream{}, limit: 100, next: 1, ended: make(chan struct{})}
	c.pack = hpack.NewEncoder(&c.header)
	c.framer = http2.NewFramer(c.out, bufio.NewReaderSize(nc, 4<<10))
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil)
	c.framer.MaxHeaderListSize = headerSize
	c.framer.SetMaxReadFrameSize(frameSize)
	c.framer.SetReuseFrames()
	return c, c.write(func() error {
		if _, err := c.out.WriteString(http2.ClientPreface); err != nil {
			return err
		}
		return errors.Join(c.framer.WriteSettings(
			http2.Setting{ID: http2.SettingEnablePush, Val: 0},
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: window},
			http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: headerSize},
		), c.framer.WriteWindowUpdate(0, windowAll))
	})
}

// write writes frames and sends them. A connection on which that fails is over.
func (c *conn) write(frames func() error) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	err := c.nc.SetWriteDeadline(time.Now().Add(slow))
	if err == nil {
		err = frames()
	}
	if err == nil {
		err = c.out.Flush()
	}
	if err != nil {
		c.fail(err)
	}
	return err
}

// take takes room for a stream.
func (c *conn) take() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || len(c.streams)+c.taken >= c.limit || c.next > lastStream {
		return false
	}
	c.taken++
	return true
}

// begin sends the request in the room that was taken. Errors: errUnsent.
func (c *conn) begin(req *http.Request) (*stream, error) {
	var s *stream
	var refused error
	err := c.write(func() error { // Numbers rise in the order of what is written.
		if s, refused = c.open(); refused != nil {
			return nil
		}
		c.header.Reset()
		if err := c.encode(req); err != nil {
			return err
		}
		return c.writeHeader(s.id, c.header.Bytes())
	})
	if refused != nil {
		return nil, refused
	}
	return s, err
}

func (c *conn) open() (*stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taken--; c.err != nil {
		return nil, errors.Join(errUnsent, c.err)
	}
	s := &stream{conn: c, id: c.next}
	s.changed.L = &c.mu
	c.streams[s.id] = s
	c.next += 2
	return s, nil
}

// encode packs the request's header (RFC 9113, section 8.3.1).
func (c *conn) encode(req *http.Request) error {
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	fields := []hpack.HeaderField{
		{Name: ":method", Value: http.MethodGet},
		{Name: ":scheme", Value: req.URL.Scheme},
		{Name: ":authority", Value: host},
		{Name: ":path", Value: req.URL.RequestURI()},
	}
	for name, values := range req.Header {
		switch name = strings.ToLower(name); name {
		case "host", "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "content-length":
			continue // They are of HTTP/1.1.
		}
		for _, value := range values {
			secret := name == "authorization" // It is not kept for other streams to be guessed by (RFC 7541, section 7.1.3).
			fields = append(fields, hpack.HeaderField{Name: name, Value: value, Sensitive: secret})
		}
	}
	for _, f := range fields {
		if err := c.pack.WriteField(f); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) writeHeader(id uint32, block []byte) error {
	first := block[:min(len(block), frameSize)]
	block = block[len(first):]
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: true, EndHeaders: len(block) == 0})
	for len(block) > 0 && err == nil {
		more := block[:min(len(block), frameSize)]
		block = block[len(more):]
		err = c.framer.WriteContinuation(id, len(block) == 0, more)
	}
	return err
}

// keep asks the server for a sign of life now and then, until the connection is over. One that nobody has used for that
// long ends.
func (c *conn) keep() {
	ticks := time.NewTicker(beat)
	defer ticks.Stop()
	for idle := false; ; {
		select {
		case <-ticks.C:
		case <-c.ended:
			return
		}
		c.mu.Lock()
		was := idle
		idle = len(c.streams)+c.taken == 0
		c.mu.Unlock()
		if idle && was {
			c.fail(net.ErrClosed)
			return
		}
		_ = c.write(func() error { return c.framer.WritePing(false, [8]byte{}) }) // If it fails, ended is closed.
	}
}

// fail ends the connection and its streams. It may be called again.
func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.ended:
		return
	default:
		close(c.ended)
	}
	c.nc.Close()
	c.err = fmt.Errorf("the connection has ended: %w", err)
	for _, s := range c.streams {
		c.end(s, c.err)
	}
}

// end ends a stream, under the lock. A connection that takes no more of them ends with the last one.
func (c *conn) end(s *stream, err error) {
	if s.err == nil {
		s.err = err
	}
	delete(c.streams, s.id)
	s.changed.Broadcast()
	if c.err != nil && len(c.streams)+c.taken == 0 {
		c.nc.Close() // run finds it closed.
	}
}
