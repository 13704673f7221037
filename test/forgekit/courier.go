package forgekit

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// room is how many deliveries may wait to be sent.
const room = 1000

// Delivery is one webhook request that was sent, once, and what came back.
type Delivery struct {
	ID               int64 // of this sending, from 1
	Hook             int64 // that it was sent to, where the forge numbers its hooks
	Again            bool  // it was asked for again, and has the UUID of an earlier one
	UUID, Event, URL string
	Header           http.Header
	Body             []byte
	Status           int    // of the answer; 0: there was none
	Answer           []byte // at most 64 KiB
	Err              string // why there was no answer
	At               time.Time
}

// Courier posts deliveries one after the other. It is safe for concurrent use.
type Courier struct {
	client *http.Client
	line   chan Delivery
	noted  func()

	mu   sync.Mutex
	sent []Delivery
}

// NewCourier returns a Courier that waits so long for an answer, and calls noted after each delivery.
func NewCourier(patience time.Duration, noted func()) *Courier {
	return &Courier{client: &http.Client{Timeout: patience, Transport: &http.Transport{}}, line: make(chan Delivery, room), noted: noted}
}

// Run sends what is in line until ctx ends; what is left then is never sent.
func (c *Courier) Run(ctx context.Context) {
	defer c.client.CloseIdleConnections()
	for {
		select {
		case d := <-c.line:
			c.post(ctx, &d)
			c.mu.Lock()
			d.ID = int64(len(c.sent) + 1)
			c.sent = append(c.sent, d)
			c.mu.Unlock()
			c.noted()
		case <-ctx.Done():
			return
		}
	}
}

// Send puts a delivery in line: its hook, UUID, event, URL, header and body. It waits for room.
func (c *Courier) Send(ctx context.Context, d Delivery) {
	select {
	case c.line <- d:
	case <-ctx.Done():
	}
}

// Sent lists what was sent and answered, oldest first.
func (c *Courier) Sent() []Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sent)
}

func (c *Courier) post(ctx context.Context, d *Delivery) {
	d.At = time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		d.Err = err.Error()
		return
	}
	req.Header = d.Header
	req.GetBody = nil // Go would send again by itself what has an Idempotency-Key; forges do not.
	resp, err := c.client.Do(req)
	if err != nil {
		d.Err = err.Error()
		return
	}
	defer resp.Body.Close()
	d.Status = resp.StatusCode
	if d.Answer, err = io.ReadAll(io.LimitReader(resp.Body, 64<<10)); err != nil {
		d.Err = err.Error()
	}
}

// UUID is a random UUID, RFC 9562 version 4.
func UUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // It never fails.
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
