package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/triggers"
)

// maxRev bounds a revision in bytes: a whole ref.
const maxRev = triggers.MaxName + len("refs/heads/")

// What a form asks for, beside what it names.
const (
	doReplay   = "replay"
	doRehearse = "rehearse"
)

// replay has a delivery planned again and goes to what it is kept as, or shows what would be planned.
func (s *site) replay(r *http.Request) (view, error) {
	form, err := formOf(r)
	if err != nil {
		return view{}, err
	}
	id, rev, do := r.PathValue("id"), form.Get("ref"), form.Get("do")
	switch {
	case len(rev) > maxRev:
		return s.refuse(r, rev[:maxRev], fmt.Sprintf("a revision has at most %d bytes", maxRev))
	case do == doRehearse:
		return s.rehearse(r, rev)
	case do != doReplay:
		return view{}, fmt.Errorf("do %.40q: %w", do, errForm)
	}
	kept, err := s.cfg.Actions.Replay(r.Context(), id, rev)
	if helpless(err) {
		return s.refuse(r, rev, err.Error())
	}
	return view{To: deliveryPath(kept)}, err
}

// rehearsal is what would be planned of a delivery.
type rehearsal struct {
	delivery // with the plan that would be
	Rev      string
	Would    map[string]*run.Snapshot // by the file of its pipeline
}

func (s *site) rehearse(r *http.Request, rev string) (view, error) {
	id := r.PathValue("id")
	plan, snapshots, err := s.cfg.Actions.Rehearse(r.Context(), id, rev)
	if helpless(err) {
		return s.refuse(r, rev, err.Error())
	}
	if err != nil {
		return view{}, err
	}
	rec, err := s.cfg.Inbox.Get(r.Context(), id)
	if err != nil {
		return view{}, err
	}
	page := rehearsal{delivery: delivery{rec, plan}, Rev: rev, Would: map[string]*run.Snapshot{}}
	for _, one := range snapshots {
		page.Would[one.File] = one
	}
	return view{Page: "rehearsal", Title: "What would run", Part: "deliveries", Data: page}, nil
}

// refuse shows the delivery again, with why it was not replayed.
func (s *site) refuse(r *http.Request, rev, why string) (view, error) {
	page, err := s.deliveryPage(r.Context(), r.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	page.Rev, page.Refused = rev, why
	return view{Page: "delivery", Status: http.StatusUnprocessableEntity, Title: "Not replayed", Part: "deliveries", Data: page}, nil
}

// helpless tells whether asking again would not help.
func helpless(err error) bool {
	return errors.Is(err, triggers.ErrIgnored) || errors.Is(err, triggers.ErrPayload) || errors.Is(err, triggers.ErrScope) || errors.Is(err, triggers.ErrPermanent)
}

// formOf reads a form that was sent. Errors: errForm.
func formOf(r *http.Request) (url.Values, error) {
	if err := r.ParseForm(); err != nil {
		return nil, fmt.Errorf("%w: %w", errForm, err)
	}
	return r.PostForm, nil
}
