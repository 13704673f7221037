package h2_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/runners/kube/h2"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peer is a server that a test lets say what it wants. Each connection to it begins with its settings.
type peer struct {
	*http2.Framer
	heard chan http2.FrameHeader // of requests, and of what is about streams and pings
}

// peers returns a client of as many peers as it dials.
func peers(t *testing.T, settings ...http2.Setting) (c *http.Client, dialed <-chan *peer) {
	t.Helper()
	all := make(chan *peer, 10)
	var group sync.WaitGroup
	transport := h2.New(func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		p := &peer{Framer: http2.NewFramer(far, far), heard: make(chan http2.FrameHeader, 100)}
		group.Go(func() { p.run(far, settings) })
		all <- p
		return near, nil
	})
	t.Cleanup(func() { transport.Close(); group.Wait() })
	return &http.Client{Transport: transport}, all
}

func (p *peer) run(far net.Conn, settings []http2.Setting) {
	defer far.Close()
	defer close(p.heard)
	if _, err := io.ReadFull(far, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	for i := 0; ; i++ {
		if i == 2 { // The client has said its own, and listens.
			if err := p.WriteSettings(settings...); err != nil {
				return
			}
		}
		f, err := p.ReadFrame()
		if err != nil {
			return
		}
		switch f.(type) {
		case *http2.HeadersFrame, *http2.PingFrame, *http2.RSTStreamFrame:
			p.heard <- f.Header()
		}
	}
}

// answer says the header of an answer.
func (p *peer) answer(t *testing.T, id uint32, status string) {
	t.Helper()
	var block bytes.Buffer
	if err := hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: status}); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
}

// asking is a request in the background.
type asking struct {
	done chan struct{}
	body []byte
	err  error
}

func ask(t *testing.T, c *http.Client) *asking {
	t.Helper()
	a := &asking{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		resp, err := c.Get("https://peer/")
		if a.err = err; err != nil {
			return
		}
		defer resp.Body.Close()
		a.body, a.err = io.ReadAll(resp.Body)
	}()
	return a
}

// TestGoAway has a server end a connection in order: what it answers goes on, what it does not fails, and the next request
// goes over a new one.
func TestGoAway(t *testing.T) {
	t.Parallel()
	c, dialed := peers(t)
	first := ask(t, c)
	p := <-dialed
	<-p.heard
	p.answer(t, 1, "200")
	second := ask(t, c)
	<-p.heard
	if err := p.WriteGoAway(1, http2.ErrCodeNo, nil); err != nil {
		t.Fatal(err)
	}
	if <-second.done; second.err == nil {
		t.Error("the second: got no error, want one")
	}
	third := ask(t, c)
	other := <-dialed
	<-other.heard
	other.answer(t, 1, "200")
	for _, write := range []func() error{
		func() error { return p.WriteData(1, false, []byte("in ")) },
		func() error { return p.WriteDataPadded(1, true, []byte("order"), []byte{0, 0, 0}) },
		func() error { return other.WriteData(1, true, []byte("in order")) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	for name, a := range map[string]*asking{"first": first, "third": third} {
		if <-a.done; a.err != nil || string(a.body) != "in order" {
			t.Errorf("the %s: got %q and error %v", name, a.body, a.err)
		}
	}
	if _, open := <-p.heard; open {
		t.Error("the connection that was to end is used")
	}
}

// TestRoom has a server that takes two streams at once.
func TestRoom(t *testing.T) {
	t.Parallel()
	c, dialed := peers(t, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2})
	first := ask(t, c)
	p := <-dialed
	<-p.heard
	p.answer(t, 1, "200") // By now its settings are known.
	if err := p.WritePing(false, [8]byte{1}); err != nil {
		t.Fatal(err)
	}
	<-p.heard
	second := ask(t, c)
	<-p.heard
	third := ask(t, c)
	other := <-dialed
	<-other.heard
	for id, of := range map[uint32]*peer{1: p, 3: p} {
		if err := of.WriteRSTStream(id, http2.ErrCodeNo); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.WriteRSTStream(1, http2.ErrCodeRefusedStream); err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]*asking{"first": first, "second": second, "third": third} {
		if <-a.done; a.err == nil || errors.Is(a.err, io.EOF) {
			t.Errorf("the %s was ended by its server: got %q and error %v, want one", name, a.body, a.err)
		}
	}
}

// TestSilence has a server that is not there any more, and one that has nothing to say.
func TestSilence(t *testing.T) {
	t.Parallel()
	for _, alive := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, dialed := peers(t)
			a := ask(t, c)
			p := <-dialed
			<-p.heard
			p.answer(t, 1, "200")
			go func() {
				for f := range p.heard {
					if f.Type == http2.FramePing && alive {
						_ = p.WritePing(true, [8]byte{})
					}
				}
			}()
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			select {
			case <-a.done:
				if alive {
					t.Errorf("an answer that says nothing ended: %v", a.err)
				}
			default:
				if !alive {
					t.Error("an answer of a server that is gone goes on")
				}
			}
			c.Transport.(*h2.Transport).Close()
			<-a.done
		})
	}
}

// TestIdle has a connection end that nobody uses.
func TestIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, dialed := peers(t)
		a := ask(t, c)
		p := <-dialed
		<-p.heard
		p.answer(t, 1, "200")
		if err := p.WriteData(1, true, nil); err != nil {
			t.Fatal(err)
		}
		if <-a.done; a.err != nil {
			t.Fatal(a.err)
		}
		for range p.heard {
			_ = p.WritePing(true, [8]byte{})
		}
	})
}

// TestRude has a server that does not keep to what was agreed. None of it may be taken for an answer's end, and none may
// fill the memory.
func TestRude(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]func(p *peer) error{
		"more than the window": func(p *peer) error {
			for range 17 {
				if err := p.WriteData(1, false, make([]byte, 16<<10)); err != nil {
					return err
				}
			}
			return nil
		},
		"a push": func(p *peer) error {
			return p.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
		},
		"no frame":         func(p *peer) error { return p.WriteRawFrame(http2.FrameSettings, 0, 1, []byte("no settings")) },
		"a frame too long": func(p *peer) error { return p.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 17<<10)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, dialed := peers(t)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://peer/", nil)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				p := <-dialed
				<-p.heard
				p.answer(t, 1, "200")
				_ = say(p) // The connection may end in the middle of it.
			}()
			resp, err := c.Do(req)
			if err != nil {
				return // It ended before the answer was taken.
			}
			defer resp.Body.Close()
			<-time.After(50 * time.Millisecond)
			if text, err := io.ReadAll(resp.Body); err == nil || len(text) > 256<<10 {
				t.Errorf("got %d bytes and error %v, want one", len(text), err)
			}
		})
	}
}

// FuzzServer has a server send any bytes: a request ends, and nothing panics.
func FuzzServer(f *testing.F) {
	var all bytes.Buffer
	said := http2.NewFramer(&all, nil)
	_ = said.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
	_ = said.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}, EndHeaders: true})
	_ = said.WriteDataPadded(1, false, []byte("body"), []byte{0})
	_ = said.WritePing(false, [8]byte{})
	f.Add(bytes.Clone(all.Bytes()))
	_ = said.WriteData(1, true, nil)
	f.Add(bytes.Clone(all.Bytes()))
	_ = said.WriteGoAway(1, http2.ErrCodeNo, nil)
	_ = said.WriteRSTStream(1, http2.ErrCodeCancel)
	f.Add(bytes.Clone(all.Bytes()))
	f.Fuzz(func(t *testing.T, bytes []byte) {
		transport := h2.New(func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, far) }()
			go func() {
				_, _ = far.Write(bytes)
				far.Close()
			}()
			return near, nil
		})
		defer transport.Close()
		c := http.Client{Transport: transport}
		resp, err := c.Get("https://peer/")
		if err != nil {
			return
		}
		defer resp.Body.Close()
		if n, err := io.Copy(io.Discard, resp.Body); err == nil && n > int64(len(bytes)) {
			t.Errorf("got %d bytes of %d", n, len(bytes))
		}
	})
}
