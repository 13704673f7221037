package memstore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers"
)

// Refs keeps the contract of store.Refs.
type Refs struct {
	mu    sync.Mutex
	repos map[name]*watched
	open  map[branch][]store.Request
}

// name is what says which repository it is.
type name struct{ forge, repo string }

// branch is one of a repository.
type branch struct {
	name
	branch string
}

type watched struct {
	store.Watch
	sights map[string]*sight
}

// sight is the latest of a ref, and what was said of the deliveries that told it and those before.
type sight struct {
	store.Sight
	said  []verdict
	aside store.Sight   // told since the latest was found: a step on the way there, or the next one after a lost one
	found []store.Sight // by looks, and started
}

// verdict is what Note said of a delivery, first: of which it is a duplicate.
type verdict struct{ delivery, first string }

// maxSaid is for how many deliveries of a ref the answer is remembered, and how many of those that looks made.
const maxSaid = 8

// NewRefs returns an empty store of refs.
func NewRefs() *Refs { return &Refs{repos: map[name]*watched{}, open: map[branch][]store.Request{}} }

// Note keeps the contract.
func (r *Refs) Note(_ context.Context, h store.Heard) (store.Noted, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.repos[name{h.Forge, h.Name}]
	if w == nil && !h.Recovered {
		w = r.watch(h.Repo, h.Look)
	}
	if w == nil {
		return store.Noted{}, nil
	}
	if h.Look.Before(w.Due) {
		w.Due = h.Look
	}
	if !h.Recovered { // who looks knows no more of the repository than we do
		w.Repo = h.Repo
	}
	of := branch{name: name{h.Forge, h.Name}}
	of.branch, _ = triggers.SplitRef(h.Ref)
	if h.After == "" {
		delete(r.open, of)
	}
	noted := store.Noted{Open: slices.Clone(r.open[of])}
	switch s := w.sights[h.Ref]; {
	case s != nil:
		noted.First = s.note(h.Sight)
	case len(w.sights) < store.MaxRefs:
		s = &sight{Sight: h.Sight}
		s.say(h.Sight, "")
		w.sights[h.Ref] = s
	}
	return noted, nil
}

// Ask keeps the contract.
func (r *Refs) Ask(_ context.Context, repo store.Repo, source string, q store.Request, open bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := branch{name{repo.Forge, repo.Name}, source}
	others := slices.DeleteFunc(r.open[of], func(o store.Request) bool { return o.Number == q.Number })
	if open && len(others) < store.MaxRequests {
		others = append(others, q)
	}
	r.open[of] = others
	return nil
}

// watch returns what is kept of a repository, which it makes known and due at a time unless there are too many.
func (r *Refs) watch(repo store.Repo, due time.Time) *watched {
	key := name{repo.Forge, repo.Name}
	w := r.repos[key]
	if w == nil && len(r.repos) < store.MaxWatched {
		w = &watched{Watch: store.Watch{Repo: repo, Due: due}, sights: map[string]*sight{}}
		r.repos[key] = w
	}
	return w
}

// note is what the contract says of Note.
func (s *sight) note(h store.Sight) (first string) {
	for _, v := range s.said {
		if v.delivery == h.Delivery {
			return v.first
		}
	}
	switch {
	case s.tells(h):
		first = s.Delivery
		if s.aside.After == h.Before { // it was a step
			s.aside = store.Sight{}
		}
	case h.Recovered && s.aside.After != "" && s.aside.After == h.After:
		first, s.Sight, s.aside = s.aside.Delivery, h, store.Sight{}
	case s.before(h) != "":
		first = s.before(h)
	case !s.after(h):
		if h.Recovered || s.aside.After == h.Before || s.aside.After == h.After {
			s.aside = store.Sight{}
		}
		s.Sight = h
	case s.Recovered && h.After != "" && h.After != s.Before && h.After != s.aside.Before:
		s.aside = h
	}
	s.say(h, first)
	return first
}

// say keeps what was said of h.
func (s *sight) say(h store.Sight, first string) {
	s.said = append(s.said, verdict{h.Delivery, first})
	s.said = s.said[max(len(s.said)-maxSaid, 0):]
	if h.Recovered && h.After != "" && first == "" {
		s.found = append(s.found, h)
		s.found = s.found[max(len(s.found)-maxSaid, 0):]
	}
}

// before is the delivery of a look that found what h tells only now, when the ref has moved on.
func (s *sight) before(h store.Sight) string {
	if h.Recovered || h.After == "" || h.Before == s.After {
		return ""
	}
	for _, f := range slices.Backward(s.found) {
		if f.After == h.After {
			return f.Delivery
		}
	}
	return ""
}

// tells tells whether the latest sight and h are of the same push.
func (s *sight) tells(h store.Sight) bool {
	switch {
	case s.Delivery == "" || s.Delivery == h.Delivery || s.After != h.After:
		return false
	case s.Recovered || h.Recovered:
		return true
	case s.Before != h.Before:
		return false
	case s.Hook != "" && h.Hook != "":
		return s.Hook != h.Hook
	}
	return s.At.Sub(h.At).Abs() <= store.SameWithin
}

// after tells whether the latest sight is later than h.
func (s *sight) after(h store.Sight) bool {
	if h.Before == s.After && (h.Before != "" || !h.At.Before(s.At)) {
		return false
	}
	return h.At.Before(s.At) || h.After != "" && (h.After == s.Before || s.Recovered)
}

// Due keeps the contract.
func (r *Refs) Due(_ context.Context, at time.Time, limit int) ([]store.Watch, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var due []store.Watch
	for _, w := range r.repos {
		if !w.Due.After(at) {
			due = append(due, w.Watch)
		}
	}
	slices.SortFunc(due, func(a, b store.Watch) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Forge, b.Forge), cmp.Compare(a.Name, b.Name))
	})
	return due[:min(len(due), max(limit, 0))], nil
}

// Sights keeps the contract.
func (r *Refs) Sights(_ context.Context, forge, repo string) (map[string]store.Sight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sights := map[string]store.Sight{}
	if w := r.repos[name{forge, repo}]; w != nil {
		for ref, s := range w.sights {
			sights[ref] = s.Sight
		}
	}
	return sights, nil
}

// Latest keeps the contract.
func (r *Refs) Latest(_ context.Context, forge, repo, ref string) (store.Sight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.repos[name{forge, repo}]; w != nil && w.sights[ref] != nil {
		return w.sights[ref].Sight, nil
	}
	return store.Sight{}, nil
}

// Looked keeps the contract.
func (r *Refs) Looked(_ context.Context, looked store.Watch, l store.Look) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.repos[name{looked.Forge, looked.Name}]
	if w == nil {
		return nil
	}
	if w.Due.Equal(looked.Due) || l.Next.Before(w.Due) {
		w.Due = l.Next
	}
	w.Seen, w.Failing, w.Asked, w.Arrived = looked.Seen, looked.Failing, looked.Asked, looked.Arrived
	w.Crowded, w.Suspicions = looked.Crowded, maps.Clone(looked.Suspicions)
	for _, ref := range l.Gone {
		if s := w.sights[ref]; s != nil && s.After == "" {
			delete(w.sights, ref)
		}
	}
	for ref, commit := range l.Found {
		if w.sights[ref] == nil && len(w.sights) < store.MaxRefs {
			w.sights[ref] = &sight{Sight: store.Sight{After: commit, At: looked.Seen}}
		}
	}
	return nil
}

// Hurry keeps the contract.
func (r *Refs) Hurry(_ context.Context, at time.Time, also ...store.Repo) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, repo := range also {
		r.watch(repo, at)
	}
	for _, w := range r.repos {
		if at.Before(w.Due) {
			w.Due = at
		}
	}
	return nil
}

// Drop keeps the contract.
func (r *Refs) Drop(_ context.Context, repo store.Repo) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.repos, name{repo.Forge, repo.Name})
	maps.DeleteFunc(r.open, func(of branch, _ []store.Request) bool { return of.name == name{repo.Forge, repo.Name} })
	return nil
}
