package githubtest

import (
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// deliveryTimeout is how long GitHub waits for an answer. It never tries again by itself.
const deliveryTimeout = 10 * time.Second

// Of more than maxTags tags pushed at once GitHub tells none, of more than maxBranches branches nothing at all.
const maxTags, maxBranches = 3, 5000

// Hook is a repository's webhook for pushes.
type Hook struct {
	URL    string
	Secret string // signs what is sent; "": nothing does
	Form   bool   // sent as application/x-www-form-urlencoded, not as JSON
}

type hook struct {
	Hook
	id int64
}

// Delivery is one that was sent, once, and what came back. Its UUID is the X-GitHub-Delivery.
type Delivery = forgekit.Delivery

// AddHook has every push to owner/name told to h from now on, after a ping, and returns the hook's id, 0 if there is no
// such repository.
func (s *Server) AddHook(owner, name string, h Hook) int64 {
	repo := s.repo(owner, name)
	if repo == nil {
		return 0
	}
	s.mu.Lock()
	s.lastID++
	added := hook{h, s.lastID}
	repo.hooks = append(repo.hooks, added)
	s.mu.Unlock()
	s.Send(added.delivery(repo, "ping", forgekit.Encode(map[string]any{
		"zen": "Keep it logically awesome.", "hook_id": added.id, "hook": added.json(), "repository": s.repository(repo), "sender": s.user(pusher),
	})))
	return added.id
}

// tell puts in line what the change of r's refs makes GitHub send.
func (s *Server) tell(r *repo, changed []forgekit.Change) {
	tags := 0
	for _, c := range changed {
		if c.Tag() {
			tags++
		}
	}
	if len(changed)-tags > maxBranches {
		return
	}
	s.mu.Lock()
	hooks := slices.Clone(r.hooks)
	s.mu.Unlock()
	for _, c := range changed {
		if c.Tag() && tags > maxTags {
			continue
		}
		body := forgekit.Encode(s.pushed(r, c))
		for _, h := range hooks {
			s.Send(h.delivery(r, "push", body))
		}
	}
}

// delivery is one with the headers of GitHub's 'Webhook events and payloads'.
func (h hook) delivery(r *repo, event string, body []byte) Delivery {
	d := Delivery{Hook: h.id, UUID: forgekit.UUID(), Event: event, URL: h.URL, Header: http.Header{}, Body: body}
	d.Header.Set("Content-Type", "application/json")
	if h.Form {
		d.Body = []byte("payload=" + url.QueryEscape(string(body)))
		d.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	d.Header.Set("Accept", "*/*")
	d.Header.Set("User-Agent", "GitHub-Hookshot/044aadd")
	d.Header.Set("X-GitHub-Delivery", d.UUID)
	d.Header.Set("X-GitHub-Event", event)
	d.Header.Set("X-GitHub-Hook-ID", strconv.FormatInt(h.id, 10))
	d.Header.Set("X-GitHub-Hook-Installation-Target-ID", strconv.FormatInt(r.id, 10))
	d.Header.Set("X-GitHub-Hook-Installation-Target-Type", "repository")
	if h.Secret != "" {
		d.Header.Set("X-Hub-Signature", "sha1="+forgekit.HexHMAC(sha1.New, h.Secret, d.Body))
		d.Header.Set("X-Hub-Signature-256", "sha256="+forgekit.HexHMAC(sha256.New, h.Secret, d.Body))
	}
	return d
}

// json is the hook as the API writes it.
func (h hook) json() map[string]any {
	contentType := "json"
	if h.Form {
		contentType = "form"
	}
	return map[string]any{
		"type": "Repository", "id": h.id, "name": "web", "active": true, "events": []string{"push"},
		"config": map[string]string{"url": h.URL, "content_type": contentType, "insecure_ssl": "0"},
	}
}

func (s *Server) listHooks(w http.ResponseWriter, _ *http.Request, repo *repo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []map[string]any{}
	for _, h := range repo.hooks {
		list = append(list, h.json())
	}
	forgekit.Answer(w, http.StatusOK, list)
}

// sent are the deliveries of the hook that a request names, oldest first; false: it is not the repository's.
func (s *Server) sent(r *http.Request, repo *repo) (all []Delivery, ok bool) {
	s.mu.Lock()
	ok = slices.ContainsFunc(repo.hooks, func(h hook) bool { return strconv.FormatInt(h.id, 10) == r.PathValue("hook") })
	s.mu.Unlock()
	for _, d := range s.Deliveries() {
		if strconv.FormatInt(d.Hook, 10) == r.PathValue("hook") {
			all = append(all, d)
		}
	}
	return all, ok
}

// listDeliveries lists a page of a hook's deliveries, newest first, and links to the next by a cursor.
func (s *Server) listDeliveries(w http.ResponseWriter, r *http.Request, repo *repo) {
	all, ok := s.sent(r, repo)
	if !ok {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	perPage, err := strconv.Atoi(r.URL.Query().Get("per_page"))
	if err != nil || perPage < 1 || perPage > 100 {
		perPage = 30
	}
	page, cursor := []map[string]any{}, r.URL.Query().Get("cursor")
	for _, d := range slices.Backward(all) {
		if at := fmt.Sprintf("v1_%d", d.ID); cursor != "" && cursor != at {
			continue
		} else if len(page) == perPage {
			w.Header().Set("Link", fmt.Sprintf(`<%s%s?per_page=%d&cursor=%s>; rel="next"`, s.URL, r.URL.Path, perPage, at))
			break
		}
		cursor = ""
		page = append(page, item(d))
	}
	forgekit.Answer(w, http.StatusOK, page)
}

// item is a delivery as the API lists it. GitHub has a status for those that got no answer, too.
func item(d Delivery) map[string]any {
	code, status := d.Status, http.StatusText(d.Status)
	if code == 0 {
		code, status = http.StatusBadGateway, "failed to connect to host"
	}
	return map[string]any{
		"id": d.ID, "guid": d.UUID, "delivered_at": d.At.UTC().Format(time.RFC3339), "redelivery": d.Again, "duration": 0.03,
		"status": status, "status_code": code, "event": d.Event, "action": nil, "installation_id": nil, "repository_id": nil, "throttled_at": nil,
	}
}

// redeliver puts a delivery in line once more, as it was.
func (s *Server) redeliver(w http.ResponseWriter, r *http.Request, repo *repo) {
	all, ok := s.sent(r, repo)
	i := slices.IndexFunc(all, func(d Delivery) bool { return strconv.FormatInt(d.ID, 10) == r.PathValue("delivery") })
	if !ok || i < 0 {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	d := all[i]
	s.Send(Delivery{Hook: d.Hook, Again: true, UUID: d.UUID, Event: d.Event, URL: d.URL, Header: d.Header, Body: d.Body})
	forgekit.Answer(w, http.StatusAccepted, map[string]any{})
}
