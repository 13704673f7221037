package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers"
)

// RunRefs tests the stores of refs that open makes against the laws. open returns two over the same empty place, as two
// processes have them; one that only lives in its process is returned twice.
func RunRefs(t *testing.T, open func(t *testing.T) (here, there store.Refs)) {
	laws := []struct {
		name string
		law  func(*testing.T, *refs)
	}{
		{"what is heard is told from what was heard", notesRefs},
		{"the latest sight of a ref is kept", keepsLatest},
		{"the answer for a delivery stays", answerStays},
		{"no delivery is a duplicate of itself", notOfItself},
		{"repositories and forges are apart", reposApart},
		{"refs are bounded", refsBounded},
		{"a push is told which requests are open", openRequests},
		{"a repository is due when it was noted to be, the longest first", dueInOrder},
		{"a look is kept, and what it found and missed", lookIsKept},
		{"a push during a look is looked at soon", lookDoesNotDelay},
		{"hurried repositories are due, and the named ones known", hurries},
		{"a dropped repository is forgotten", drops},
	}
	for _, l := range laws {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			here, there := open(t)
			l.law(t, &refs{t: t, here: here, there: there})
		})
	}
}

// refs is two stores under test whose steps must succeed.
type refs struct {
	t           *testing.T
	here, there store.Refs
	open        []store.Request // as they were noted last
}

// shop is the repository of most laws.
var shop = store.Repo{Forge: "gitea", Repository: triggers.Repository{ID: "7", Name: "shop/api", WebURL: "https://git.test/shop/api"}}

// heard is one step of a law: what of main is heard, how long after the start, and of what it must be a duplicate.
type heard struct {
	id, before, after, hook string
	at                      time.Duration
	recovered               bool
	first                   string
}

func (r *refs) note(h heard) {
	r.t.Helper()
	r.noteOf(shop, "refs/heads/main", h)
}

func (r *refs) noteOf(repo store.Repo, ref string, h heard) {
	r.t.Helper()
	noted, err := r.here.Note(r.t.Context(), store.Heard{
		Repo: repo, Ref: ref, Look: start.Add(h.at + time.Minute),
		Sight: store.Sight{Before: h.before, After: h.after, Hook: h.hook, Delivery: h.id, At: start.Add(h.at), Recovered: h.recovered},
	})
	if err != nil {
		r.t.Fatalf("note %s: %v", h.id, err)
	}
	if first := noted.First; first != h.first {
		r.t.Errorf("%s (%s to %s) is a duplicate of %q, want %q", h.id, h.before, h.after, noted.First, h.first)
	}
	r.here, r.there = r.there, r.here
	r.open = noted.Open
}

// sights are what is noted of a repository, as ref: after.
func (r *refs) sights(repo store.Repo) map[string]string {
	r.t.Helper()
	sights, err := r.there.Sights(r.t.Context(), repo.Forge, repo.Name)
	if err != nil {
		r.t.Fatalf("sights: %v", err)
	}
	after := map[string]string{}
	for ref, s := range sights {
		if latest, err := r.there.Latest(r.t.Context(), repo.Forge, repo.Name, ref); err != nil || latest != s {
			r.t.Errorf("latest of %s: got %+v, %v, want %+v", ref, latest, err, s)
		}
		after[ref] = s.After
	}
	return after
}

// due are the names of what is due.
func (r *refs) due(at time.Duration, limit int) []store.Watch {
	r.t.Helper()
	due, err := r.there.Due(r.t.Context(), start.Add(at), limit)
	if err != nil {
		r.t.Fatalf("due: %v", err)
	}
	return due
}

func (r *refs) looked(w store.Watch, l store.Look) {
	r.t.Helper()
	if err := r.here.Looked(r.t.Context(), w, l); err != nil {
		r.t.Fatalf("looked: %v", err)
	}
}

// notesRefs plays stories of one branch. Commits are letters, d1 and so on deliveries.
func notesRefs(t *testing.T, r *refs) {
	const s = time.Second
	stories := map[string][]heard{
		"two hooks of one push": {
			{id: "d1", before: "a", after: "b", hook: "1"}, {id: "d2", before: "a", after: "b", hook: "2", first: "d1"},
		},
		"two hooks, a day apart": {
			{id: "d1", before: "a", after: "b", hook: "1"}, {id: "d2", before: "a", after: "b", hook: "2", at: 86400 * s, first: "d1"},
		},
		"two hooks, heard in the other order": {
			{id: "d1", before: "a", after: "b", hook: "1", at: s}, {id: "d2", before: "a", after: "b", hook: "2", first: "d1"},
		},
		"hooks without names": {
			{id: "d1", before: "a", after: "b"}, {id: "d2", before: "a", after: "b", at: 60 * s, first: "d1"}, {id: "d3", before: "a", after: "b", at: 61 * s},
		},
		"one hook with a name, one without": {
			{id: "d1", before: "a", after: "b", hook: "1"}, {id: "d2", before: "a", after: "b", at: s, first: "d1"},
		},
		"one hook twice": {
			{id: "d1", before: "a", after: "b", hook: "1"}, {id: "d2", before: "a", after: "b", hook: "1", at: s},
		},
		"forced there and back": {
			{id: "d1", before: "a", after: "b"}, {id: "d2", before: "b", after: "a", at: s}, {id: "d3", before: "a", after: "b", at: 2 * s},
		},
		"forced there and back, by two hooks": {
			{id: "d1", before: "a", after: "b", hook: "1"},
			{id: "d2", before: "a", after: "b", hook: "2", first: "d1"},
			{id: "d3", before: "b", after: "a", hook: "2"},
			{id: "d4", before: "b", after: "a", hook: "1", first: "d3"},
			{id: "d5", before: "a", after: "b", hook: "1"},
			{id: "d6", before: "a", after: "b", hook: "2", first: "d5"},
		},
		"deleted and pushed again": {
			{id: "d1", after: "b"}, {id: "d2", before: "b", at: s}, {id: "d3", after: "b", at: 2 * s},
		},
		"deleted without a word of what was there": {
			{id: "d1", after: "b"}, {id: "d2", at: s}, {id: "d3", after: "b", at: 2 * s}, {id: "d4", after: "b", at: 3 * s, first: "d3"},
		},
		"found, then told": {
			{id: "d1", before: "a", after: "b"},
			{id: "g1", before: "b", after: "d", at: s, recovered: true},
			{id: "d2", before: "b", after: "c", at: 9000 * s},
			{id: "d3", before: "c", after: "d", at: 9001 * s, first: "g1"},
			{id: "d4", before: "d", after: "e", at: 9002 * s},
			{id: "d5", before: "d", after: "e", at: 9002 * s, first: "d4"},
		},
		"found, one lost, told, then found there": {
			{id: "d1", before: "a", after: "b"},
			{id: "g1", before: "b", after: "c", at: s, recovered: true},
			{id: "d2", before: "d", after: "e", at: 90 * s},
			{id: "g2", before: "c", after: "e", at: 900 * s, recovered: true, first: "d2"},
			{id: "d3", before: "e", after: "f", at: 990 * s},
			{id: "g3", before: "f", after: "e", at: 1900 * s, recovered: true},
		},
		"found, the next two told in the other order, then found there": {
			{id: "d1", before: "a", after: "b"},
			{id: "g1", before: "b", after: "c", at: s, recovered: true},
			{id: "d3", before: "d", after: "e", at: 90 * s},
			{id: "d2", before: "c", after: "d", at: 91 * s},
			{id: "g2", before: "d", after: "e", at: 900 * s, recovered: true, first: "d3"},
			{id: "g3", before: "e", after: "f", at: 1800 * s, recovered: true},
			{id: "g4", before: "f", after: "e", at: 2700 * s, recovered: true},
		},
		"found, the next three told backwards, then found there": {
			{id: "d1", before: "a", after: "b"},
			{id: "g1", before: "b", after: "c", at: s, recovered: true},
			{id: "d4", before: "e", after: "f", at: 90 * s},
			{id: "d3", before: "d", after: "e", at: 91 * s},
			{id: "d2", before: "c", after: "d", at: 92 * s},
			{id: "g2", before: "d", after: "f", at: 900 * s, recovered: true, first: "d4"},
		},
		"found, a step of it told, then found elsewhere": {
			{id: "d1", before: "a", after: "b"},
			{id: "g1", before: "b", after: "d", at: s, recovered: true},
			{id: "d2", before: "b", after: "c", at: 90 * s},
			{id: "g2", before: "d", after: "e", at: 900 * s, recovered: true},
			{id: "g3", before: "e", after: "c", at: 1900 * s, recovered: true},
		},
		"found, all steps of it told, then found to be back": {
			{id: "d1", before: "a", after: "b"},
			{id: "g1", before: "b", after: "d", at: s, recovered: true},
			{id: "d2", before: "b", after: "c", at: 90 * s},
			{id: "d3", before: "c", after: "d", at: 91 * s, first: "g1"},
			{id: "g2", before: "d", after: "c", at: 900 * s, recovered: true},
		},
		"found, the next told, then what was found": {
			{id: "d1", before: "a", after: "b"},
			{id: "g1", before: "b", after: "c", at: s, recovered: true},
			{id: "d2", before: "c", after: "d", at: 90 * s},
			{id: "d3", before: "b", after: "c", at: 91 * s, first: "g1"},
			{id: "d4", before: "d", after: "e", at: 92 * s},
		},
		"found two, then told": {
			{id: "d1", before: "a", after: "b"},
			{id: "g1", before: "b", after: "c", at: s, recovered: true},
			{id: "g2", before: "c", after: "d", at: 600 * s, recovered: true},
			{id: "d2", before: "b", after: "c", at: 900 * s, first: "g1"},
			{id: "d3", before: "c", after: "d", at: 901 * s, first: "g2"},
		},
		"found, the next told, then forced back there": {
			{id: "d1", before: "a", after: "b"},
			{id: "g1", before: "b", after: "c", at: s, recovered: true},
			{id: "d2", before: "c", after: "d", at: 90 * s},
			{id: "d3", before: "d", after: "c", at: 91 * s},
		},
		"told, then found": {
			{id: "d1", before: "a", after: "b"}, {id: "d2", before: "b", after: "c", at: s}, {id: "g1", before: "a", after: "c", at: s, recovered: true, first: "d2"},
		},
		"found to be gone, then told, then new": {
			{id: "d1", after: "b"},
			{id: "g1", before: "b", at: s, recovered: true},
			{id: "d2", before: "b", at: 90 * s, first: "g1"},
			{id: "d3", after: "c", at: 91 * s},
			{id: "d4", after: "c", at: 91 * s, first: "d3"},
		},
	}
	for name, story := range stories {
		for _, h := range story {
			r.noteOf(shop, "refs/heads/"+name, h)
		}
	}
}

func keepsLatest(t *testing.T, r *refs) {
	const s = time.Second
	stories := map[string]struct {
		story []heard
		after string
	}{
		"in order":                 {[]heard{{id: "1", before: "a", after: "b"}, {id: "2", before: "b", after: "c", at: s}}, "c"},
		"out of order":             {[]heard{{id: "2", before: "b", after: "c", at: s}, {id: "1", before: "a", after: "b"}}, "c"},
		"out of order, forced":     {[]heard{{id: "2", before: "x", after: "c", at: s}, {id: "1", before: "a", after: "b"}}, "c"},
		"told out of order":        {[]heard{{id: "2", before: "b", after: "c"}, {id: "1", before: "a", after: "b", at: s}}, "c"},
		"forced back":              {[]heard{{id: "1", before: "a", after: "b"}, {id: "2", before: "b", after: "a", at: s}}, "a"},
		"gone":                     {[]heard{{id: "1", after: "b"}, {id: "2", before: "b", at: s}}, ""},
		"a step of what was found": {[]heard{{id: "g", before: "a", after: "c", recovered: true}, {id: "1", before: "a", after: "b", at: s}}, "c"},
	}
	want := map[string]string{}
	r.noteOf(shop, "known", heard{id: "0", after: "a"}) // what is found is found of a repository that is known
	want["known"] = "a"
	for name, one := range stories {
		for _, h := range one.story {
			r.noteOf(shop, name, h)
		}
		want[name] = one.after
	}
	same(t, "sights", r.sights(shop), want)
	all, err := r.there.Sights(t.Context(), shop.Forge, shop.Name)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "a sight", all["in order"], store.Sight{Before: "b", After: "c", Delivery: "2", At: start.Add(s)})
}

func answerStays(t *testing.T, r *refs) {
	const s = time.Second
	story := []heard{
		{id: "d1", before: "a", after: "b"},
		{id: "d2", before: "a", after: "b", first: "d1"},
		{id: "d3", before: "b", after: "a", at: s},
		{id: "d4", before: "a", after: "b", at: 2 * s},
		{id: "d5", before: "x", after: "c"},
	}
	for range 2 {
		for _, h := range story {
			r.note(h)
		}
	}
	same(t, "sights", r.sights(shop), map[string]string{"refs/heads/main": "b"})
}

// notOfItself: also when its answer is forgotten, because many were late, and it is planned again.
func notOfItself(t *testing.T, r *refs) {
	r.note(heard{id: "d0", after: "0"})
	found := heard{id: "g1", before: "0", after: "z", recovered: true}
	r.note(found)
	for i := range 20 {
		r.note(heard{id: fmt.Sprint("late", i), before: fmt.Sprint(i), after: fmt.Sprint(i + 1), at: time.Second})
	}
	r.note(found)
	same(t, "sights", r.sights(shop), map[string]string{"refs/heads/main": "z"})
}

func reposApart(t *testing.T, r *refs) {
	other, elsewhere := shop, shop
	other.Name, elsewhere.Forge = "shop/web", "github"
	for i, repo := range []store.Repo{shop, other, elsewhere} {
		r.noteOf(repo, "refs/heads/main", heard{id: fmt.Sprint(i), before: "a", after: "b"})
		r.noteOf(repo, "refs/tags/main", heard{id: fmt.Sprint(i), before: "a", after: "b"})
		same(t, "sights of "+repo.Name, r.sights(repo), map[string]string{"refs/heads/main": "b", "refs/tags/main": "b"})
	}
	if got := len(r.due(time.Hour, 9)); got != 3 {
		t.Errorf("%d repositories are due, want 3", got)
	}
}

func refsBounded(t *testing.T, r *refs) {
	r.note(heard{id: "d1", after: "a"})
	found := map[string]string{}
	for i := range store.MaxRefs + 10 {
		found[fmt.Sprint("refs/heads/", i)] = "a"
	}
	r.looked(r.due(time.Hour, 1)[0], store.Look{Found: found})
	r.noteOf(shop, "refs/heads/new", heard{id: "d2", after: "a"})
	r.noteOf(shop, "refs/heads/new", heard{id: "d3", after: "a"})
	r.note(heard{id: "d4", after: "a", first: "d1"})
	if got := len(r.sights(shop)); got != store.MaxRefs {
		t.Errorf("%d refs are kept, want %d", got, store.MaxRefs)
	}
}

func openRequests(t *testing.T, r *refs) {
	ask := func(branch string, number int, commit string, open bool) {
		t.Helper()
		q := store.Request{Number: number, Target: "prod", Commit: commit, Action: "opened"}
		if err := r.there.Ask(t.Context(), shop, branch, q, open); err != nil {
			t.Fatal(err)
		}
	}
	want := func(after string, numbers ...int) {
		t.Helper()
		r.note(heard{id: after, after: after})
		var got []int
		for _, q := range r.open {
			if q.Target != "prod" || q.Action != "opened" || q.Commit == "" {
				t.Errorf("got request %+v", q)
			}
			got = append(got, q.Number)
		}
		same(t, "open requests at "+after, got, numbers)
	}
	ask("main", 7, "x", true) // before anything was pushed
	ask("other", 8, "x", true)
	want("a", 7)
	ask("main", 9, "x", true)
	ask("main", 7, "y", true)
	want("b", 9, 7)
	same(t, "the request as it was heard of last", r.open[1], store.Request{Number: 7, Target: "prod", Commit: "y", Action: "opened"})
	ask("main", 9, "", false)
	ask("main", 10, "", false)
	want("c", 7)
	ask("main", 7, "", false)
	want("d")
	for n := range store.MaxRequests + 5 {
		ask("main", 100+n, "x", true)
	}
	r.note(heard{id: "e", after: "e"})
	if len(r.open) != store.MaxRequests {
		t.Errorf("%d requests of a branch are known, want %d", len(r.open), store.MaxRequests)
	}
	r.note(heard{id: "f", before: "e"})
	r.noteOf(shop, "refs/tags/other", heard{id: "g", after: "e"})
	if len(r.open) != 0 {
		t.Errorf("a tag is told of the requests of a branch: %v", r.open)
	}
	want("h")
}

func dueInOrder(t *testing.T, r *refs) {
	var repos []store.Repo
	for i := range 3 {
		repo := shop
		repo.Name = fmt.Sprint("shop/", i)
		repos = append(repos, repo)
		r.noteOf(repo, "refs/heads/main", heard{id: "d1", after: "a", at: time.Duration(3-i) * time.Minute})
	}
	r.noteOf(repos[0], "refs/heads/main", heard{id: "d2", before: "a", after: "b", at: time.Hour}) // later than it is due: no change
	names := func(due []store.Watch) (all []string) {
		for _, w := range due {
			all = append(all, w.Name)
		}
		return all
	}
	same(t, "due early", names(r.due(time.Minute, 9)), nil)
	same(t, "due then", names(r.due(3*time.Minute, 9)), []string{"shop/2", "shop/1"})
	same(t, "the first two", names(r.due(time.Hour, 2)), []string{"shop/2", "shop/1"})
	same(t, "none", names(r.due(time.Hour, 0)), nil)
	same(t, "as it was noted", r.due(time.Hour, 9)[2], store.Watch{Repo: repos[0], Due: start.Add(4 * time.Minute)})
}

func lookIsKept(t *testing.T, r *refs) {
	r.note(heard{id: "d1", after: "a"})
	r.noteOf(shop, "refs/heads/gone", heard{id: "d2", before: "a"})
	r.noteOf(shop, "refs/heads/back", heard{id: "d3", after: "c"})
	w := r.due(time.Hour, 1)[0]
	w.Seen, w.Failing, w.Crowded = start.Add(time.Minute), start, true
	w.Asked, w.Arrived = start.Add(2*time.Minute), start.Add(3*time.Minute)
	w.Suspicions = map[string]store.Suspicion{"refs/heads/main": {After: "a", Delivery: "d1", Since: start}}
	l := store.Look{
		Found: map[string]string{"refs/heads/main": "b", "refs/tags/v1": "t"},
		Gone:  []string{"refs/heads/gone", "refs/heads/back", "refs/heads/never"}, Next: start.Add(2 * time.Hour),
	}
	r.looked(w, l)
	same(t, "sights", r.sights(shop), map[string]string{"refs/heads/main": "a", "refs/heads/back": "c", "refs/tags/v1": "t"})
	if len(r.due(time.Hour, 9)) != 0 {
		t.Error("it is due before its time")
	}
	w.Due = l.Next
	same(t, "the look", r.due(2*time.Hour, 9), []store.Watch{w})
	// What a look found first, nobody told: the first delivery of it is none's duplicate.
	r.noteOf(shop, "refs/tags/v1", heard{id: "d4", after: "t", at: time.Minute})
	r.noteOf(shop, "refs/tags/v1", heard{id: "d5", after: "t", at: time.Minute, first: "d4"})
}

func lookDoesNotDelay(t *testing.T, r *refs) {
	r.note(heard{id: "d1", after: "a"})
	w := r.due(time.Hour, 1)[0]
	r.looked(w, store.Look{Next: start.Add(9 * time.Hour)})
	w = r.due(9*time.Hour, 1)[0]
	r.note(heard{id: "d2", before: "a", after: "b", at: time.Hour})
	r.looked(w, store.Look{Next: start.Add(20 * time.Hour)})
	if due := r.due(time.Hour+time.Minute, 1); len(due) != 1 {
		t.Error("a look that began before a push keeps the one after it away")
	}
}

func hurries(t *testing.T, r *refs) {
	other := store.Repo{Forge: "gitea", Repository: triggers.Repository{Name: "shop/web"}}
	r.note(heard{id: "d1", after: "a", at: time.Hour})
	if err := r.here.Hurry(t.Context(), start, shop, other); err != nil {
		t.Fatal(err)
	}
	want := []store.Watch{{Repo: shop, Due: start}, {Repo: other, Due: start}}
	same(t, "due", r.due(0, 9), want)
	if err := r.here.Hurry(t.Context(), start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	same(t, "due after a later hurry", r.due(0, 9), want)
}

func drops(t *testing.T, r *refs) {
	r.note(heard{id: "d1", after: "a"})
	w := r.due(time.Hour, 1)[0]
	r.looked(w, store.Look{Next: start})
	for range 2 {
		if err := r.here.Drop(t.Context(), shop); err != nil {
			t.Fatal(err)
		}
	}
	r.looked(w, store.Look{Next: start, Found: map[string]string{"refs/heads/x": "a"}})
	if got := r.due(time.Hour, 9); len(got) != 0 || len(r.sights(shop)) != 0 {
		t.Errorf("got %v and %v, want nothing", got, r.sights(shop))
	}
	if latest, err := r.there.Latest(t.Context(), shop.Forge, shop.Name, "refs/heads/main"); err != nil || latest != (store.Sight{}) {
		t.Errorf("latest: got %+v, %v, want nothing", latest, err)
	}
	r.note(heard{id: "g1", before: "a", after: "b", recovered: true}) // the look that found it was begun before
	if got := r.due(time.Hour, 9); len(got) != 0 || len(r.sights(shop)) != 0 {
		t.Errorf("what was found of it made it known: %v and %v", got, r.sights(shop))
	}
	r.note(heard{id: "d2", after: "a"})
	if got := r.due(time.Hour, 9); len(got) != 1 {
		t.Errorf("%d repositories are due after a push, want it known again", len(got))
	}
}
