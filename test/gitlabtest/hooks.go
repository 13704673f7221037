package gitlabtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// deliveryTimeout is GitLab's default: webhook_timeout.
const deliveryTimeout = 10 * time.Second

// maxRefs is how many branches, and how many tags, a push may change for hooks to be told at all: GitLab's default of
// push_event_hooks_limit.
const maxRefs = 3

// Hook is a project's webhook for pushes, tags and merge requests.
type Hook struct {
	URL          string
	Token        string // sent as X-Gitlab-Token; "": is not
	SigningToken string // whsec_ and base64; signs as Standard Webhooks; "": nothing is signed
}

// Delivery is one that was sent, once, and what came back. Its UUID is the Idempotency-Key, its Event the header's.
type Delivery = forgekit.Delivery

// AddHook has what happens in any project told to h from now on. The API numbers hooks from 1.
func (s *Server) AddHook(h Hook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, h)
}

// tell puts in line what the change of p's refs makes GitLab send.
func (s *Server) tell(p *project, changed []forgekit.Change) {
	count := map[bool]int{}
	for _, c := range changed {
		count[c.Tag()]++
	}
	for _, c := range changed {
		if count[c.Tag()] > maxRefs {
			continue
		}
		event := "Push Hook"
		if c.Tag() {
			event = "Tag Push Hook"
		}
		s.send(event, s.pushed(p, c))
	}
	for _, c := range changed {
		s.updateRequests(p, c)
	}
}

// send puts one delivery for each hook in line. It waits for room.
func (s *Server) send(event string, payload any) {
	body := forgekit.Encode(payload)
	s.mu.Lock()
	hooks := slices.Clone(s.hooks)
	s.mu.Unlock()
	for i, h := range hooks {
		d := s.delivery(h, event, forgekit.UUID(), body)
		d.Hook = int64(i + 1)
		s.Send(d)
	}
}

// delivery is one with the headers of GitLab's app/services/web_hook_service.rb (build_headers).
func (s *Server) delivery(h Hook, event, key string, body []byte) Delivery {
	d := Delivery{UUID: key, Event: event, URL: h.URL, Header: http.Header{}, Body: body}
	d.Header.Set("Content-Type", "application/json")
	d.Header.Set("User-Agent", "GitLab/17.5.1")
	d.Header.Set("Idempotency-Key", d.UUID)
	d.Header.Set("X-Gitlab-Event", event)
	d.Header.Set("X-Gitlab-Webhook-UUID", forgekit.UUID())
	d.Header.Set("X-Gitlab-Instance", s.URL)
	d.Header.Set("X-Gitlab-Event-UUID", forgekit.UUID())
	if h.Token != "" {
		d.Header.Set("X-Gitlab-Token", h.Token)
	}
	if h.SigningToken != "" {
		h.sign(&d)
	}
	return d
}

// sign signs d as of now.
func (h Hook) sign(d *Delivery) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(h.SigningToken, "whsec_"))
	if err != nil {
		panic("gitlabtest: the signing token is not whsec_ and base64: " + err.Error())
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(d.UUID + "." + timestamp + "."))
	mac.Write(d.Body)
	d.Header.Set("webhook-id", d.UUID)
	d.Header.Set("webhook-timestamp", timestamp)
	d.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
