// Package inboxtest holds the laws that every inbox keeps. The tests of an implementation call Run; it calls nobody but
// the inbox it is given, and it knows nothing of how that inbox keeps what it keeps.
package inboxtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// noon is when the oldest delivery of a law arrives.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// Run checks every law, each on an empty inbox that open returns.
func Run(t *testing.T, open func(t *testing.T) inbox.Inbox) {
	for _, law := range []struct {
		name  string
		check func(*testing.T, box)
	}{
		{"a pair is kept once", keptOnce},
		{"a pair is kept once among many at a time", keptOnceConcurrently},
		{"keeping again is keeping once", keptAgain},
		{"forge and key make the pair", pairs},
		{"what is kept comes back whole", comesBack},
		{"what is kept is nobody's to change", notShared},
		{"a duplicate changes nothing", duplicateChangesNothing},
		{"without a body nothing is unplanned", headersOnly},
		{"unplanned come oldest first", unplannedInOrder},
		{"settling notes the outcome and may be repeated", settles},
		{"reopening is the reverse of settling", reopens},
		{"what is not kept is not found", notFound},
		{"a list goes from the newest to the oldest in pages", pages},
		{"a cursor stays good while others come and go", cursorStays},
		{"a cursor of nobody is refused", strangeCursor},
		{"trimming by age forgets the old", trimsByAge},
		{"trimming by bytes forgets the oldest", trimsByBytes},
		{"trimming never forgets the unplanned", neverTrimsUnplanned},
		{"what was trimmed is still a duplicate", stillKnown},
		{"a caller who has gone keeps nothing waiting", goneCaller},
	} {
		t.Run(law.name, func(t *testing.T) { law.check(t, box{t, open(t)}) })
	}
}

func keptOnce(t *testing.T, b box) {
	d := delivery(1)
	first := b.keep(d)
	d.ID, d.Body = "another", []byte(`{"other":true}`)
	second := b.keep(d)
	d.ID = "a third"
	got := []inbox.Receipt{first, second, b.keep(d)}
	want := []inbox.Receipt{{ID: delivery(1).ID}, {ID: delivery(1).ID, Duplicate: true}, {ID: delivery(1).ID, Duplicate: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("receipts (-want +got):\n%s", diff)
	}
}

// keptAgain is for those who do not know whether a Keep that failed, or was given up, has happened all the same.
func keptAgain(t *testing.T, b box) {
	for i := range 3 { // the first is abandoned before it is kept, the others after it
		ctx, cancel := context.WithCancel(t.Context())
		if i == 0 {
			cancel()
		}
		r, err := b.in.Keep(ctx, delivery(i))
		cancel()
		if want := (inbox.Receipt{ID: delivery(i).ID}); i > 0 && (err != nil || r != want) {
			t.Errorf("keep %d: got %+v, %v, want %+v", i, r, err, want)
		}
	}
	for i := range 3 {
		if got := b.keep(delivery(i)); got.ID != delivery(i).ID || got.Duplicate != (i > 0) {
			t.Errorf("keep %d again: got %+v, want it under its own id, and a duplicate but for the abandoned one", i, got)
		}
	}
	b.settle(delivery(2).ID, inbox.Outcome{At: noon})
	want := inbox.Receipt{ID: delivery(2).ID, Duplicate: true}
	if got := b.keep(delivery(2)); got != want {
		t.Errorf("keep a settled one again: got %+v, want %+v", got, want)
	}
	if diff := cmp.Diff(names(0, 1), b.unplanned(10)); diff != "" {
		t.Errorf("unplanned (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(names(2, 1, 0), b.all()); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

func keptOnceConcurrently(t *testing.T, b box) {
	const callers = 50
	receipts := make([]inbox.Receipt, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			var err error
			if receipts[i], err = b.in.Keep(t.Context(), delivery(1)); err != nil {
				t.Errorf("keep: %v", err)
			}
		})
		all.Go(func() { // others come at the same time, and each of them is new
			if r, err := b.in.Keep(t.Context(), delivery(100+i)); err != nil || r.Duplicate {
				t.Errorf("keep %d: got %+v, %v, want it to be new", 100+i, r, err)
			}
		})
	}
	all.Wait()
	firsts := 0
	for _, r := range receipts {
		if r.ID != delivery(1).ID {
			t.Errorf("receipt names %q, want %q", r.ID, delivery(1).ID)
		}
		if !r.Duplicate {
			firsts++
		}
	}
	if firsts != 1 {
		t.Errorf("%d of %d callers were the first, want 1", firsts, callers)
	}
	if got := len(b.unplanned(1000)); got != callers+1 {
		t.Errorf("%d deliveries are unplanned, want %d", got, callers+1)
	}
}

func pairs(t *testing.T, b box) {
	for _, p := range [][2]string{{"ab", "c"}, {"a", "bc"}, {"a", "b c"}, {"a b", "c"}, {"", "abc"}, {"a", "B\x00\xff\n"}} {
		d := triggers.Delivery{ID: triggers.DeliveryID(p[0], p[1]), Forge: p[0], Key: p[1], At: noon}
		if r := b.keep(d); r.Duplicate {
			t.Errorf("the pair %q is a duplicate of another", p)
		}
	}
}

func comesBack(t *testing.T, b box) {
	large := make([]byte, 300<<10) // more than what stays out of a bucket
	_, _ = rand.NewChaCha8([32]byte{7}).Read(large)
	for i, body := range [][]byte{nil, {}, []byte("{}"), []byte("\x00\xff\r\n{\"é\":1}\x00"), bytes.Repeat([]byte("{}"), 9000), large} {
		d := delivery(i)
		d.Body = body
		d.Hook = "77"
		d.Header = http.Header{"X-Github-Event": {"push"}, "X-Odd": {"", "\"é\\\n", "<&>"}}
		d.Scope = triggers.Scope{Repositories: []string{"shop/*", "a/b"}, RepositoryID: "42"}
		b.keep(d)
		if diff := cmp.Diff(inbox.Record{Delivery: d}, b.get(d.ID), cmp.Comparer(sameBytes)); diff != "" {
			t.Errorf("body %d (-kept +got):\n%.2000s", i, diff)
		}
	}
	if diff := cmp.Diff(names(1, 2, 3, 4, 5), b.unplanned(10)); diff != "" {
		t.Errorf("unplanned, which all with a body are (-want +got):\n%s", diff)
	}
}

// sameBytes is what cmp would find byte by byte.
func sameBytes(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

func notShared(t *testing.T, b box) {
	scribble := func(d triggers.Delivery) {
		d.Body[0] = '!'
		d.Header.Set("X-Github-Event", "!")
		d.Header["X-Github-Delivery"] = []string{"!"}
	}
	d := delivery(1)
	b.keep(d)
	scribble(d)
	scribble(b.get(d.ID).Delivery)
	if diff := cmp.Diff(inbox.Record{Delivery: delivery(1)}, b.get(d.ID)); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func duplicateChangesNothing(t *testing.T, b box) {
	d := delivery(1)
	b.keep(d)
	b.settle(d.ID, inbox.Outcome{At: noon})
	again := d
	again.Body, again.Kind, again.At = bytes.Repeat([]byte("{"), 300<<10), "other", noon.Add(time.Hour)
	b.keep(again)
	if diff := cmp.Diff(inbox.Record{Delivery: d, Planned: &inbox.Outcome{At: noon}}, b.get(d.ID)); diff != "" {
		t.Errorf("record (-want +got):\n%.2000s", diff)
	}
	if got := b.unplanned(10); len(got) != 0 {
		t.Errorf("unplanned: got %v, want none", got)
	}
}

func headersOnly(t *testing.T, b box) {
	d := delivery(1)
	d.Body = nil
	b.keep(d)
	if got := b.unplanned(10); len(got) != 0 {
		t.Errorf("unplanned: got %v, want none", got)
	}
	if got, _ := b.list("", 10); len(got) != 1 {
		t.Errorf("list: got %v, want the delivery", got)
	}
}

func unplannedInOrder(t *testing.T, b box) {
	for _, i := range []int{3, 1, 4, 2} {
		b.keep(delivery(i))
	}
	if diff := cmp.Diff(names(1, 2, 3, 4), b.unplanned(10)); diff != "" {
		t.Errorf("unplanned (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(names(1, 2), b.unplanned(2)); diff != "" {
		t.Errorf("unplanned, at most 2 (-want +got):\n%s", diff)
	}
}

func settles(t *testing.T, b box) {
	b.keep(delivery(1))
	b.keep(delivery(2))
	outcome := inbox.Outcome{At: noon.Add(time.Second), Error: "no \"repository\""}
	for range 2 {
		b.settle(delivery(1).ID, outcome)
	}
	if diff := cmp.Diff(names(2), b.unplanned(10)); diff != "" {
		t.Errorf("unplanned (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&outcome, b.get(delivery(1).ID).Planned); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
	if got := b.get(delivery(2).ID).Planned; got != nil {
		t.Errorf("outcome of the other: got %v, want none", got)
	}
}

func reopens(t *testing.T, b box) {
	for i := range 3 {
		b.keep(delivery(i))
	}
	for range 2 {
		b.settle(delivery(1).ID, inbox.Outcome{At: noon, Error: "given up: the server is away"})
	}
	for range 2 {
		b.reopen(delivery(1).ID)
		b.reopen(delivery(2).ID) // which nobody settled
	}
	if diff := cmp.Diff(names(0, 1, 2), b.unplanned(10)); diff != "" {
		t.Errorf("unplanned, oldest first (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(inbox.Record{Delivery: delivery(1)}, b.get(delivery(1).ID)); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	headers := delivery(3)
	headers.Body = nil
	b.keep(headers)
	b.reopen(headers.ID)
	b.settle(delivery(1).ID, inbox.Outcome{At: noon})
	if diff := cmp.Diff(names(0, 2), b.unplanned(10)); diff != "" {
		t.Errorf("unplanned, without what is settled again and what has no body (-want +got):\n%s", diff)
	}
}

func notFound(t *testing.T, b box) {
	if _, err := b.in.Get(t.Context(), "dnowhere"); !errors.Is(err, inbox.ErrNotFound) {
		t.Errorf("get: got %v, want ErrNotFound", err)
	}
	if err := b.in.Settle(t.Context(), "dnowhere", inbox.Outcome{}); !errors.Is(err, inbox.ErrNotFound) {
		t.Errorf("settle: got %v, want ErrNotFound", err)
	}
	if err := b.in.Reopen(t.Context(), "dnowhere"); !errors.Is(err, inbox.ErrNotFound) {
		t.Errorf("reopen: got %v, want ErrNotFound", err)
	}
	if got := b.unplanned(10); len(got) != 0 {
		t.Errorf("unplanned: got %v, want none", got)
	}
	if got, next := b.list("", 10); len(got) != 0 || next != "" {
		t.Errorf("list: got %v and %q, want nothing", got, next)
	}
}

func pages(t *testing.T, b box) {
	for i := range 7 {
		d := delivery(i)
		if i >= 2 && i <= 5 {
			d.At = noon // several at the same instant, over the edge of a page
		}
		b.keep(d)
	}
	b.settle(delivery(6).ID, inbox.Outcome{At: noon})
	var got []string
	for cursor, more := "", true; more; more = cursor != "" {
		var page []inbox.Record
		page, cursor = b.list(cursor, 3)
		if len(page) > 3 {
			t.Fatalf("a page of %d, want at most 3", len(page))
		}
		for _, r := range page {
			got = append(got, r.ID)
			if r.Body != nil {
				t.Errorf("%s is listed with its body", r.ID)
			}
			if settled := r.Planned != nil; settled != (r.ID == delivery(6).ID) {
				t.Errorf("%s is listed as planned: %v", r.ID, settled)
			}
		}
	}
	if got[0] != delivery(6).ID || got[1] != delivery(1).ID {
		t.Errorf("the newest are %v, want %v", got[:2], names(6, 1))
	}
	slices.Sort(got)
	if diff := cmp.Diff(names(0, 1, 2, 3, 4, 5, 6), got); diff != "" {
		t.Errorf("all pages (-want +got):\n%s", diff)
	}
	if page, next := b.list("", 7); len(page) != 7 || next != "" {
		t.Errorf("one page that holds all: got %d and next %q, want 7 and none", len(page), next)
	}
}

func cursorStays(t *testing.T, b box) {
	for i := range 6 {
		b.keep(delivery(i))
		b.settle(delivery(i).ID, inbox.Outcome{At: noon})
	}
	_, next := b.list("", 2) // 5 and 4
	b.keep(delivery(9))
	b.trim(delivery(5).At, 0) // also those that the cursor stood at
	b.keep(delivery(2000))
	if got, _ := b.list(next, 10); len(got) != 0 {
		t.Errorf("after everything older was trimmed: got %v, want nothing", got)
	}
	b.keep(delivery(-1))
	if got, _ := b.list(next, 10); len(got) != 1 || got[0].ID != delivery(-1).ID {
		t.Errorf("from the old cursor: got %v, want the one that is older", got)
	}
}

func strangeCursor(t *testing.T, b box) {
	b.keep(delivery(1))
	for _, c := range []string{"x", "-", "[", "+", "(1", " "} {
		if _, _, err := b.in.List(t.Context(), c, 10); !errors.Is(err, inbox.ErrCursor) {
			t.Errorf("list from %q: got %v, want ErrCursor", c, err)
		}
	}
}

func trimsByAge(t *testing.T, b box) {
	for i := range 5 {
		b.keep(delivery(i))
		b.settle(delivery(i).ID, inbox.Outcome{At: noon})
	}
	if got := b.trim(delivery(3).At, 0); got != 3 {
		t.Errorf("forgot %d, want 3", got)
	}
	if diff := cmp.Diff(names(4, 3), b.all()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if _, err := b.in.Get(t.Context(), delivery(0).ID); !errors.Is(err, inbox.ErrNotFound) {
		t.Errorf("get a forgotten one: got %v, want ErrNotFound", err)
	}
	if got := b.trim(delivery(3).At, 0); got != 0 {
		t.Errorf("the second time it forgot %d, want 0", got)
	}
}

func trimsByBytes(t *testing.T, b box) {
	random := rand.NewChaCha8([32]byte{1})
	for i := range 10 {
		d := delivery(i)
		d.Body = make([]byte, 10_000) // which no compression makes smaller
		_, _ = random.Read(d.Body)
		b.keep(d)
		b.settle(d.ID, inbox.Outcome{At: noon})
	}
	if got := b.trim(noon.Add(-time.Hour), 1<<20); got != 0 {
		t.Errorf("forgot %d though there was room, want 0", got)
	}
	if got := b.trim(noon.Add(-time.Hour), 41_000); got != 6 {
		t.Errorf("forgot %d, want 6", got)
	}
	if diff := cmp.Diff(names(9, 8, 7, 6), b.all()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func neverTrimsUnplanned(t *testing.T, b box) {
	for i := range 600 {
		b.keep(delivery(i))
	}
	b.settle(delivery(599).ID, inbox.Outcome{At: noon})
	if got := b.trim(noon.Add(24*time.Hour), 1); got != 1 {
		t.Errorf("forgot %d, want the settled one only", got)
	}
	if got := len(b.unplanned(1000)); got != 599 {
		t.Errorf("%d are unplanned, want 599", got)
	}
	if got := b.get(delivery(0).ID).Body; !bytes.Equal(got, delivery(0).Body) {
		t.Errorf("body: got %q, want %q", got, delivery(0).Body)
	}
}

func stillKnown(t *testing.T, b box) {
	b.keep(delivery(1))
	b.settle(delivery(1).ID, inbox.Outcome{At: noon})
	b.trim(noon.Add(time.Hour), 0)
	if diff := cmp.Diff(inbox.Receipt{ID: delivery(1).ID, Duplicate: true}, b.keep(delivery(1))); diff != "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}
	if got := b.unplanned(10); len(got) != 0 {
		t.Errorf("unplanned: got %v, want none", got)
	}
}

func goneCaller(t *testing.T, b box) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.in.Keep(ctx, delivery(1)); !errors.Is(err, ctx.Err()) {
		t.Errorf("keep: got %v, want %v", err, ctx.Err())
	}
	if r := b.keep(delivery(2)); r.Duplicate {
		t.Errorf("the next caller got %+v, want a delivery of its own", r)
	}
}

// delivery is the i-th of a law, a minute younger than the one before it.
func delivery(i int) triggers.Delivery {
	return triggers.Delivery{
		ID: fmt.Sprintf("d%04d", i), Forge: "hub", Key: fmt.Sprintf("key-%d", i), Kind: "push",
		Header: http.Header{"X-Github-Event": {"push"}},
		Body:   fmt.Appendf(nil, `{"number":%d}`, i),
		At:     noon.Add(time.Duration(i) * time.Minute),
	}
}

// names are the ids of some deliveries.
func names(numbers ...int) []string {
	ids := make([]string, len(numbers))
	for i, n := range numbers {
		ids[i] = delivery(n).ID
	}
	return ids
}
