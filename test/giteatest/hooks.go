package giteatest

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"time"
)

// deliveryTimeout is Gitea's default: [webhook] DELIVER_TIMEOUT.
const deliveryTimeout = 5 * time.Second

type hook struct{ url, secret string }

// task is one delivery that is to be sent.
type task struct {
	hook  hook
	event string
	body  []byte
}

// Delivery is one that was sent, once, as Gitea does, and what came back.
type Delivery struct {
	UUID, Event, URL string
	Header           http.Header
	Body             []byte
	Status           int    // of the answer; 0: there was none
	Answer           []byte // at most 64 KiB
	Err              string // why there was no answer
	At               time.Time
}

// AddHook has every push to any repository told to url from now on. secret signs what is sent.
func (s *Server) AddHook(url, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, hook{url, secret})
}

// Deliveries lists what was sent and answered, oldest first.
func (s *Server) Deliveries() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

// tell puts in line what the change of r's refs makes Gitea send. It waits for room.
func (s *Server) tell(r *repo, before, after map[string]string) {
	s.mu.Lock()
	hooks := slices.Clone(s.hooks)
	s.mu.Unlock()
	for _, c := range changes(before, after) {
		for _, m := range s.messages(r, c) {
			for _, h := range hooks {
				select {
				case s.tasks <- task{h, m.event, m.body}:
				case <-s.ctx.Done():
					return
				}
			}
		}
	}
}

// deliver sends what is in line, one after the other, until the server closes.
func (s *Server) deliver() {
	for {
		select {
		case t := <-s.tasks:
			d := s.send(t)
			s.mu.Lock()
			s.sent = append(s.sent, d)
			s.note()
			s.mu.Unlock()
		case <-s.ctx.Done():
			return
		}
	}
}

// send posts one delivery with the headers of Gitea 1.22, which are also those of Gogs and GitHub.
func (s *Server) send(t task) Delivery {
	d := Delivery{UUID: uuid(), Event: t.event, URL: t.hook.url, Body: t.body, At: time.Now()}
	req, err := http.NewRequestWithContext(s.ctx, http.MethodPost, t.hook.url, bytes.NewReader(t.body))
	if err != nil {
		d.Err = err.Error()
		return d
	}
	sum1, sum256 := "", ""
	if t.hook.secret != "" {
		sum1, sum256 = sign(sha1.New, t), sign(sha256.New, t)
	}
	req.Header.Set("Content-Type", "application/json")
	for _, forge := range []string{"Gitea", "Gogs", "GitHub"} {
		req.Header.Set("X-"+forge+"-Delivery", d.UUID)
		req.Header.Set("X-"+forge+"-Event", t.event)
		req.Header.Set("X-"+forge+"-Event-Type", t.event)
	}
	req.Header.Set("X-Gitea-Signature", sum256)
	req.Header.Set("X-Gogs-Signature", sum256)
	req.Header.Set("X-Hub-Signature", "sha1="+sum1)
	req.Header.Set("X-Hub-Signature-256", "sha256="+sum256)
	d.Header = req.Header
	resp, err := s.client.Do(req)
	if err != nil {
		d.Err = err.Error()
		return d
	}
	defer resp.Body.Close()
	d.Status = resp.StatusCode
	if d.Answer, err = io.ReadAll(io.LimitReader(resp.Body, 64<<10)); err != nil {
		d.Err = err.Error()
	}
	return d
}

func sign(algorithm func() hash.Hash, t task) string {
	h := hmac.New(algorithm, []byte(t.hook.secret))
	h.Write(t.body)
	return hex.EncodeToString(h.Sum(nil))
}

// uuid is a random UUID, RFC 9562 version 4.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // It never fails.
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
