package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// delivery is a delivery with what was made of it.
type delivery struct {
	inbox.Record
	Plan store.Plan
}

// deliveryPage is one delivery, and what was last asked about it.
type deliveryPage struct {
	delivery
	Runs    map[string]run.State // of the runs that came of it
	Rev     string               // at which it was to be replayed
	Refused string               // why it was not, "" if nobody asked
}

// deliveryPath is where a delivery's page is.
func deliveryPath(id string) string { return "/deliveries/" + url.PathEscape(id) }

func (s *site) deliveries(r *http.Request) (view, error) {
	cursor := r.URL.Query().Get("cursor")
	records, next, err := s.cfg.Inbox.List(r.Context(), cursor, pageSize)
	if err != nil {
		return view{}, err
	}
	page := list[delivery]{Items: make([]delivery, len(records)), Next: next}
	for i, rec := range records {
		if page.Items[i], err = s.planned(r.Context(), rec); err != nil {
			return view{}, err
		}
	}
	return view{Page: "deliveries", Title: "Deliveries", Part: "deliveries", Live: cursor == "", Data: page}, nil
}

func (s *site) delivery(r *http.Request) (view, error) {
	d, err := s.deliveryPage(r.Context(), r.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	return view{Page: "delivery", Title: d.What() + " · " + d.State(), Part: "deliveries", Live: d.changes(), Data: d}, nil
}

// changes tells whether what the page shows may still become something else.
func (d deliveryPage) changes() bool {
	for _, state := range d.Runs {
		if !state.Final() {
			return true
		}
	}
	return d.State() == accepted
}

func (s *site) deliveryPage(ctx context.Context, id string) (deliveryPage, error) {
	rec, err := s.cfg.Inbox.Get(ctx, id)
	if err != nil {
		return deliveryPage{}, err
	}
	d, err := s.planned(ctx, rec)
	if err != nil {
		return deliveryPage{}, err
	}
	page := deliveryPage{delivery: d, Runs: map[string]run.State{}}
	for _, e := range d.Plan.Explanations {
		if e.Run == "" {
			continue
		}
		made, err := s.shown(ctx, e.Run)
		if err != nil {
			return deliveryPage{}, err
		}
		if made != nil {
			page.Runs[e.Run] = made.State
		}
	}
	return page, nil
}

func (s *site) planned(ctx context.Context, rec inbox.Record) (delivery, error) {
	plan, err := s.cfg.Plans.Plan(ctx, rec.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return delivery{}, err
	}
	return delivery{rec, plan}, nil
}

// The states of a delivery, in the API's words.
const (
	accepted  = "accepted" // and not planned yet
	planned   = "planned"
	duplicate = "duplicate"
	ignored   = "ignored"
	failed    = "failed"
)

// State is one of these.
func (d delivery) State() string {
	switch {
	case d.Ignored != "":
		return ignored
	case d.Planned == nil:
		return accepted
	case d.Planned.First != "":
		return duplicate
	case d.Planned.Ignored:
		return ignored
	case d.Planned.Error != "":
		return failed
	}
	return planned
}

// What says what was delivered: in our words, where it was understood, else in the forge's.
func (d delivery) What() string { return cmp.Or(string(d.Plan.Event.Kind), d.Kind) }

// Origin says where a delivery came from that no forge sent, "" for all others.
func (d delivery) Origin() string {
	if !strings.HasPrefix(d.Key, ownKey) {
		return ""
	}
	return d.Kind
}

// ownKey is how the keys of deliveries begin that Millrace itself made: what it recovered, and replays.
const ownKey = "millrace:"

// Outcome says in a sentence what came of a delivery.
func (d delivery) Outcome() string {
	switch {
	case d.Ignored != "":
		return d.Ignored
	case d.Planned == nil:
		return "not planned yet"
	case d.Planned.Error != "":
		return d.Planned.Error
	case len(d.Plan.Explanations) == 0:
		return "the repository has no pipelines at this commit"
	}
	return fmt.Sprintf("%d of %d pipelines matched", d.Matched(), len(d.Plan.Explanations))
}

// Matched is how many pipelines run, or would.
func (d delivery) Matched() int {
	n := 0
	for i := range d.Plan.Explanations {
		if d.Plan.Explanations[i].Matched {
			n++
		}
	}
	return n
}

// Replays tells whether it can be planned again: something of it is kept beside its headers.
func (d delivery) Replays() bool { return d.Ignored == "" }

// Revises tells whether that can be done at another revision.
func (d delivery) Revises() bool { return d.Plan.Event.Kind != triggers.Deletion }

// Headers are those that are kept, in the order of their names.
func (d delivery) Headers() [][2]string {
	var all [][2]string
	for _, name := range slices.Sorted(maps.Keys(d.Header)) {
		all = append(all, [2]string{name, strings.Join(d.Header[name], ", ")})
	}
	return all
}
