package api

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/triggers"
)

// maxRev bounds a revision in bytes: a whole ref.
const maxRev = triggers.MaxName + len("refs/heads/")

// Replay is what became of the wish to have a delivery planned again.
type Replay struct {
	Of       string `json:"of"`       // the delivery
	Delivery string `json:"delivery"` // that the replay is kept as, "" when it was dry
	URL      string `json:"url"`      // of its page
	Dry      bool   `json:"dry"`

	// Of a dry one only: what would be planned.
	Repo         string        `json:"repo,omitempty"`
	Ref          string        `json:"ref,omitempty"`
	Commit       string        `json:"commit,omitempty"`
	Explanations []Explanation `json:"explanations,omitempty"`
	Runs         []Run         `json:"runs,omitempty"` // as they would begin, without ids
}

// replay answers POST /deliveries/{id}/replay?dry=&ref=.
func (s *server) replay(w http.ResponseWriter, r *http.Request) error {
	dry, rev, err := replayOf(r.URL.Query())
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	if dry {
		return s.rehearse(w, r, rev)
	}
	delivery, err := s.cfg.Actions.Replay(r.Context(), id, rev)
	if err != nil {
		return unprocessable(err)
	}
	return answer(w, http.StatusAccepted, Replay{Of: id, Delivery: delivery, URL: s.cfg.URL + "/deliveries/" + delivery})
}

func (s *server) rehearse(w http.ResponseWriter, r *http.Request, rev string) error {
	id := r.PathValue("id")
	plan, snapshots, err := s.cfg.Actions.Rehearse(r.Context(), id, rev)
	if err != nil {
		return unprocessable(err)
	}
	out := Replay{
		Of: id, Dry: true, URL: s.cfg.URL + "/deliveries/" + id,
		Repo: plan.Event.Repo.Name, Ref: plan.Event.Ref, Commit: plan.Event.After,
	}
	for _, e := range plan.Explanations {
		out.Explanations = append(out.Explanations, Explanation{Pipeline: e.Pipeline, File: e.File, Matched: e.Matched, Reason: e.Reason})
	}
	for _, snapshot := range snapshots {
		begun, _ := run.New(snapshot)
		would := runOf(begun, s.cfg.URL)
		would.ID, would.URL, would.Delivery = "", "", ""
		out.Runs = append(out.Runs, would)
	}
	return answer(w, http.StatusOK, out)
}

// replayOf reads what a request wants.
func replayOf(q url.Values) (dry bool, rev string, err error) {
	for name := range q {
		if name != "dry" && name != "ref" {
			return false, "", bad("%.40q is no parameter of a replay; it has dry and ref", name)
		}
	}
	if text := q.Get("dry"); text != "" {
		if dry, err = strconv.ParseBool(text); err != nil {
			return false, "", bad("dry: say true or false")
		}
	}
	if rev = q.Get("ref"); len(rev) > maxRev {
		return false, "", bad("ref: at most %d bytes", maxRev)
	}
	return dry, rev, nil
}

// unprocessable is err, as the problem that it is where asking again would not help.
func unprocessable(err error) error {
	for _, known := range []error{triggers.ErrIgnored, triggers.ErrPayload, triggers.ErrScope, triggers.ErrPermanent} {
		if errors.Is(err, known) {
			return problem{http.StatusUnprocessableEntity, err.Error()}
		}
	}
	return err
}
