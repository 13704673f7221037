package door

import (
	"encoding/json"
	"net/http"
)

// What an answer's status may be. They are also how answers are counted.
const (
	accepted  = "accepted"  // kept, and will be planned
	duplicate = "duplicate" // kept before
	ignored   = "ignored"   // its headers are kept
	refused   = "refused"   // the sender has to change something
	failed    = "failed"    // it is our fault
)

// answer is what the door says: its fields are the JSON body.
type answer struct {
	code int

	Delivery string `json:"delivery"` // id, "" when nothing is kept
	Status   string `json:"status"`
	Reason   string `json:"reason"` // for a person: what happened, and what to do
	URL      string `json:"url"`    // the delivery's page
}

// refuse is the answer to a request that its sender has to change.
func refuse(code int, reason string) answer {
	return answer{code: code, Status: refused, Reason: reason}
}

// fail is the answer to a request that we could not serve.
func fail(reason string) answer {
	return answer{code: http.StatusServiceUnavailable, Status: failed, Reason: reason}
}

// write sends a.
func (a answer) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	switch a.code {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodPost)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "10")
	}
	w.WriteHeader(a.code)
	// Strings only, which cannot fail to encode; and a sender who does not wait for the answer is not our business.
	_ = json.NewEncoder(w).Encode(a)
}
