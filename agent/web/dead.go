package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// The kinds of what was given up.
const (
	deadDeliveries = "deliveries"
	deadAttempts   = "attempts"
	deadTellings   = "tellings"
)

// deadPage is what was given up.
type deadPage struct {
	Groups  []deadGroup
	Older   bool // it does not begin with the first
	Next    string
	Said    string // what became of what was asked, "" if nobody asked
	Refused string // why it was not done, "" if it was
}

// deadGroup is what was given up of one kind.
type deadGroup struct {
	Kind  string
	Items []deadItem
}

// deadItem is one thing that was given up.
type deadItem struct {
	queue.Dead[run.Reference]
	About *run.Run // nil for a delivery, and where the run is not there to be shown
}

// Name is how a form names it.
func (d deadItem) Name() string { return d.Item.Value.Line + "/" + d.Item.ID }

func kindOf(about run.Reference) string {
	switch {
	case about.Delivery != "":
		return deadDeliveries
	case about.Task != "":
		return deadAttempts
	}
	return deadTellings
}

// saids are what a page may be asked to say after something was done.
var saids = map[string]string{
	"retried":   "It is tried again. What fails once more comes back to this list.",
	"forgotten": "It is off the list.",
	"gone":      "Nothing was done: it is not on the list any more. Somebody retried or forgot it, or it is no longer kept.",
}

func (s *site) dead(r *http.Request) (view, error) {
	q := r.URL.Query()
	page, err := s.deadPage(r.Context(), q.Get("cursor"))
	page.Said = saids[q.Get("said")]
	return view{Page: "dead", Title: "Given up", Part: "dead", Live: err == nil && !page.Older, Data: page}, err
}

func (s *site) deadPage(ctx context.Context, cursor string) (deadPage, error) {
	found, next, err := s.cfg.Actions.Dead(ctx, cursor, pageSize)
	if err != nil {
		return deadPage{}, err
	}
	page := deadPage{Older: cursor != "", Next: next}
	for _, d := range found {
		item := deadItem{Dead: d}
		if id := d.Item.Value.Run; id != "" {
			if item.About, err = s.shown(ctx, id); err != nil {
				return deadPage{}, err
			}
		}
		kind := kindOf(d.Item.Value)
		if last := len(page.Groups) - 1; last < 0 || page.Groups[last].Kind != kind {
			page.Groups = append(page.Groups, deadGroup{Kind: kind})
		}
		group := &page.Groups[len(page.Groups)-1]
		group.Items = append(group.Items, item)
	}
	return page, nil
}

func (s *site) retry(r *http.Request) (view, error) { return s.each(r, "retried", s.cfg.Actions.Retry) }

func (s *site) forget(r *http.Request) (view, error) {
	return s.each(r, "forgotten", s.cfg.Actions.Forget)
}

// each does something about each item that a form names. Then it goes back to where the form was: the page of what its one
// item is about, or the list.
func (s *site) each(r *http.Request, done string, do func(ctx context.Context, line, id string) error) (view, error) {
	form, err := formOf(r)
	if err != nil {
		return view{}, err
	}
	items := form["item"]
	if len(items) == 0 || len(items) > pageSize {
		return view{}, fmt.Errorf("%d items: %w", len(items), errForm)
	}
	said, refused := "gone", ""
	for _, item := range items {
		line, id, _ := strings.Cut(item, "/")
		switch err := do(r.Context(), line, id); {
		case err == nil:
			said = done
		case errors.Is(err, queue.ErrNotFound): // somebody else was faster
		case errors.Is(err, run.ErrStale):
			refused = "An attempt that was given up has ended as lost and is not started again. Push again for a new run, and forget this one."
		case errors.Is(err, inbox.ErrNotFound), errors.Is(err, store.ErrNotFound):
			refused = "What it was about is no longer kept. Forget it."
		default:
			return view{}, err
		}
	}
	if refused != "" {
		page, err := s.deadPage(r.Context(), "")
		page.Refused = refused
		return view{Page: "dead", Status: http.StatusConflict, Title: "Given up", Part: "dead", Data: page}, err
	}
	_, id, _ := strings.Cut(items[0], "/")
	switch from := form.Get("from"); {
	case from == "run" && said == done:
		return view{To: runPath(id)}, nil
	case from == "delivery" && said == done:
		return view{To: deliveryPath(id)}, nil
	}
	return view{To: "/dead?said=" + said}, nil
}
