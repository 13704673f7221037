package giteatest

import (
	"crypto/sha1"
	"crypto/sha256"
	"net/http"
	"slices"
	"time"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// deliveryTimeout is Gitea's default: [webhook] DELIVER_TIMEOUT.
const deliveryTimeout = 5 * time.Second

type hook struct{ url, secret string }

// Delivery is one that was sent, once, as Gitea does, and what came back.
type Delivery = forgekit.Delivery

// AddHook has every push to any repository told to url from now on. secret signs what is sent.
func (s *Server) AddHook(url, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, hook{url, secret})
}

// tell puts in line what the change of r's refs makes Gitea send. It waits for room.
func (s *Server) tell(r *repo, changed []forgekit.Change) {
	s.mu.Lock()
	hooks := slices.Clone(s.hooks)
	s.mu.Unlock()
	for _, c := range changed {
		for _, m := range s.messages(r, c) {
			for _, h := range hooks {
				s.Send(h.delivery(m))
			}
		}
	}
}

// delivery is one with the headers of Gitea 1.22, which are also those of Gogs and GitHub.
func (h hook) delivery(m message) Delivery {
	d := Delivery{UUID: forgekit.UUID(), Event: m.event, URL: h.url, Header: http.Header{}, Body: m.body}
	sum1, sum256 := "", ""
	if h.secret != "" {
		sum1, sum256 = forgekit.HexHMAC(sha1.New, h.secret, m.body), forgekit.HexHMAC(sha256.New, h.secret, m.body)
	}
	d.Header.Set("Content-Type", "application/json")
	for _, forge := range []string{"Gitea", "Gogs", "GitHub"} {
		d.Header.Set("X-"+forge+"-Delivery", d.UUID)
		d.Header.Set("X-"+forge+"-Event", d.Event)
		d.Header.Set("X-"+forge+"-Event-Type", d.Event)
	}
	d.Header.Set("X-Gitea-Signature", sum256)
	d.Header.Set("X-Gogs-Signature", sum256)
	d.Header.Set("X-Hub-Signature", "sha1="+sum1)
	d.Header.Set("X-Hub-Signature-256", "sha256="+sum256)
	return d
}
