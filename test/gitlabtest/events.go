package gitlabtest

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// maxResent is how many deliveries are sent again in a minute.
const maxResent = 5

// perPage is how many events GitLab gives at once, at most.
const perPage = 20

func (s *Server) listHooks(w http.ResponseWriter, _ *http.Request, p *project) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []map[string]any{}
	for i, h := range s.hooks {
		list = append(list, map[string]any{
			"id": i + 1, "url": h.URL, "project_id": p.id, "push_events": true, "tag_push_events": true, "merge_requests_events": true,
			"alert_status": "executable", "disabled_until": nil,
		})
	}
	forgekit.Answer(w, http.StatusOK, list)
}

// sent are the deliveries to the hook that a request names, newest first.
func (s *Server) sent(r *http.Request) (all []Delivery) {
	for _, d := range slices.Backward(s.Deliveries()) {
		if strconv.FormatInt(d.Hook, 10) == r.PathValue("hook") {
			all = append(all, d)
		}
	}
	return all
}

// listEvents lists a page of a hook's deliveries as lib/api/entities/web_hook_log.rb has them, newest first.
func (s *Server) listEvents(w http.ResponseWriter, r *http.Request, _ *project) {
	all, list := s.sent(r), []map[string]any{}
	page, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	first, last := min((page-1)*perPage, len(all)), min(page*perPage, len(all))
	for _, d := range all[first:last] {
		headers := map[string]string{}
		for name := range d.Header {
			headers[name] = d.Header.Get(name)
		}
		status := "internal error"
		if d.Status != 0 {
			status = strconv.Itoa(d.Status)
		}
		list = append(list, map[string]any{
			"id": d.ID, "url": d.URL, "trigger": "push_hooks", "request_headers": headers, "response_headers": map[string]string{},
			"response_body": string(d.Answer), "execution_duration": 0.1, "response_status": status, "created_at": d.At.UTC().Format(time.RFC3339Nano),
		})
	}
	if last < len(all) {
		w.Header().Set("X-Next-Page", strconv.Itoa(page+1))
	}
	forgekit.Answer(w, http.StatusOK, list)
}

// resend sends a delivery once more, signed anew and with the same key, and waits for what comes back, as
// app/services/web_hooks/events/resend_service.rb does.
func (s *Server) resend(w http.ResponseWriter, r *http.Request, _ *project) {
	all := s.sent(r)
	i := slices.IndexFunc(all, func(d Delivery) bool { return strconv.FormatInt(d.ID, 10) == r.PathValue("event") })
	if i < 0 {
		refuse(w, http.StatusNotFound, "404 Not found")
		return
	}
	s.mu.Lock()
	within, after := s.resent.Take(time.Minute, maxResent), s.resent.RetryAfter()
	hook := s.hooks[all[i].Hook-1]
	s.mu.Unlock()
	if !within {
		w.Header().Set("Retry-After", strconv.Itoa(after))
		refuse(w, http.StatusTooManyRequests, "This endpoint has been requested too many times. Try again later.")
		return
	}
	d := s.delivery(hook, all[i].Event, all[i].UUID, all[i].Body)
	d.Hook, d.Again = all[i].Hook, true
	before := s.count(d.UUID)
	s.Send(d)
	if err := s.Wait(r.Context(), func() bool { return s.count(d.UUID) > before }); err != nil {
		return
	}
	forgekit.Answer(w, http.StatusCreated, map[string]int{"response_status": s.sent(r)[0].Status})
}

// count is how often the delivery key was sent.
func (s *Server) count(key string) (n int) {
	for _, d := range s.Deliveries() {
		if d.UUID == key {
			n++
		}
	}
	return n
}
