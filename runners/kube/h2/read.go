package h2

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"time"

	"golang.org/x/net/http2"
)

// run takes what the server sends until the connection ends.
func (c *conn) run() {
	due := 0 // bytes of the connection's window that were used
	for {
		err := c.nc.SetReadDeadline(time.Now().Add(silence))
		var frame http2.Frame
		if err == nil {
			frame, err = c.framer.ReadFrame()
		}
		var bad http2.StreamError
		switch {
		case errors.As(err, &bad):
			err = c.reset(bad.StreamID, bad.Code, bad)
		case err == nil:
			err = c.hear(frame, &due)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

func (c *conn) hear(frame http2.Frame, due *int) error {
	switch f := frame.(type) {
	case *http2.MetaHeadersFrame:
		return c.heads(f)
	case *http2.DataFrame:
		return c.data(f, due)
	case *http2.RSTStreamFrame:
		c.over(f.StreamID, http2.StreamError{StreamID: f.StreamID, Code: f.ErrCode, Cause: errors.New("the server ended it")})
	case *http2.GoAwayFrame:
		return c.leave(f)
	case *http2.SettingsFrame:
		return c.settle(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			return c.write(func() error { return c.framer.WritePing(true, f.Data) })
		}
	case *http2.PushPromiseFrame:
		return errors.New("the server pushes, which it was told not to")
	}
	return nil
}

// heads takes the header of an answer; one before it (1xx) and one after it (a trailer) say nothing.
func (c *conn) heads(f *http2.MetaHeadersFrame) error {
	status, err := strconv.Atoi(f.PseudoValue("status"))
	trailer := f.PseudoValue("status") == ""
	if !trailer && (err != nil || status < 100 || status > 999) || f.Truncated {
		return c.reset(f.StreamID, http2.ErrCodeProtocol, errors.New("the header of the answer is not valid"))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[f.StreamID]
	if s == nil {
		return nil
	}
	if !trailer && status >= 200 && s.head == nil && !s.answered {
		header := http.Header{}
		for _, field := range f.RegularFields() {
			name := textproto.CanonicalMIMEHeaderKey(field.Name)
			header[name] = append(header[name], field.Value)
		}
		s.head = &head{status: status, header: header}
		s.changed.Broadcast()
	}
	if f.StreamEnded() {
		c.end(s, io.EOF)
	}
	return nil
}

// data takes a piece of a body. What padding there is uses the windows too.
func (c *conn) data(f *http2.DataFrame, due *int) error {
	if *due += int(f.Length); *due >= windowAll/2 {
		if err := c.write(func() error { return c.framer.WriteWindowUpdate(0, uint32(*due)) }); err != nil {
			return err
		}
		*due = 0
	}
	c.mu.Lock()
	s := c.streams[f.StreamID]
	if s == nil {
		c.mu.Unlock()
		return nil // It was given up.
	}
	s.unread += int(f.Length)
	full := s.unread > window
	if !full {
		s.body = append(s.body, f.Data()...)
		s.padding += int(f.Length) - len(f.Data())
		s.changed.Broadcast()
		if f.StreamEnded() {
			c.end(s, io.EOF)
		}
	}
	c.mu.Unlock()
	if full {
		return c.reset(f.StreamID, http2.ErrCodeFlowControl, errors.New("the server sends more than it may"))
	}
	return nil
}

// over ends a stream, if there still is one of this number.
func (c *conn) over(id uint32, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[id]; s != nil {
		c.end(s, why)
	}
}

// reset ends a stream and tells the server.
func (c *conn) reset(id uint32, code http2.ErrCode, why error) error {
	c.over(id, why)
	return c.write(func() error { return c.framer.WriteRSTStream(id, code) })
}

// leave lets no stream begin any more. Those that the server will not answer end, the others go on.
func (c *conn) leave(f *http2.GoAwayFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = fmt.Errorf("the server ends the connection: %v", f.ErrCode)
	for id, s := range c.streams {
		if id > f.LastStreamID {
			c.end(s, c.err)
		}
	}
	if len(c.streams)+c.taken == 0 {
		return c.err
	}
	return nil
}

func (c *conn) settle(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		if s.ID == http2.SettingMaxConcurrentStreams {
			c.mu.Lock()
			c.limit = int(min(s.Val, lastStream))
			c.mu.Unlock()
		}
		return nil
	})
	if err != nil {
		return err
	}
	table, said := f.Value(http2.SettingHeaderTableSize)
	return c.write(func() error {
		if said {
			c.pack.SetMaxDynamicTableSizeLimit(table)
		}
		return c.framer.WriteSettingsAck()
	})
}
