package queuetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/queue"
)

func buriedIsListed(t *testing.T, l line) {
	before := time.Now().Add(-time.Minute)
	l.push("a", "b")
	l.giveBack(l.one("w", "a"), 0)
	held := l.one("w", "a")
	l.bury(held, "it has holes")
	l.isLost(held)
	l.len(queue.Length{Ready: 1})
	l.one("w", "b")
	items, next := l.dead("", 10)
	if len(items) != 1 || next != "" {
		t.Fatalf("the dead: got %+v and next %q, want one", items, next)
	}
	got := items[0]
	if got.Buried.Before(before) || got.Buried.After(time.Now().Add(time.Minute)) {
		t.Errorf("buried at %v, want about now", got.Buried)
	}
	if got.Token == "" {
		t.Error("nothing says which burial it is")
	}
	got.Buried, got.Token = time.Time{}, ""
	want := queue.Dead[string]{Item: queue.Item[string]{ID: "a", Value: "value of a"}, Why: "it has holes", Tries: 2, Pushed: held.Pushed}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the dead (-want +got):\n%s", diff)
	}
}

func buriedCanBePushed(t *testing.T, l line) {
	l.push("a")
	l.bury(l.one("w", "a"), "why")
	l.push("a")
	again := l.one("w", "a")
	if again.Tries != 1 {
		t.Errorf("tries of an item that is new in line: got %d, want 1", again.Tries)
	}
	l.ack(again)
	if items, _ := l.dead("", 10); len(items) != 1 {
		t.Errorf("the dead: got %v, want the record of it still", deadIDs(items))
	}
}

func buriedOnce(t *testing.T, l line) {
	for _, id := range []string{"a", "b", "a"} {
		l.push(id)
		l.bury(l.one("w", id), "the reason of now")
	}
	items, _ := l.dead("", 10)
	if diff := cmp.Diff([]string{"a", "b"}, deadIDs(items)); diff != "" {
		t.Errorf("the dead (-want +got):\n%s", diff)
	}
}

func deadInPages(t *testing.T, l line) {
	for _, id := range numbered(7) {
		l.push(id)
		l.bury(l.one("w", id), "why")
	}
	var got []string
	for cursor, more := "", true; more; more = cursor != "" {
		var page []queue.Dead[string]
		if page, cursor = l.dead(cursor, 3); len(page) > 3 {
			t.Fatalf("a page of %d, want at most 3", len(page))
		}
		got = append(got, deadIDs(page)...)
	}
	want := []string{"item-0006", "item-0005", "item-0004", "item-0003", "item-0002", "item-0001", "item-0000"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("all pages (-want +got):\n%s", diff)
	}
	if page, next := l.dead("", 7); len(page) != 7 || next != "" {
		t.Errorf("one page that holds all: got %d and next %q, want 7 and none", len(page), next)
	}
	if page, next := l.dead("", 0); len(page) != 0 || next != "" {
		t.Errorf("a page of none: got %d and next %q", len(page), next)
	}
}

func deadCursorStays(t *testing.T, l line) {
	for _, id := range numbered(4) {
		l.push(id)
		l.bury(l.one("w", id), "why")
	}
	_, next := l.dead("", 2) // 3 and 2
	l.forget("item-0002")
	l.push("later")
	l.bury(l.one("w", "later"), "why")
	page, _ := l.dead(next, 10)
	if diff := cmp.Diff([]string{"item-0001", "item-0000"}, deadIDs(page)); diff != "" {
		t.Errorf("from the old cursor (-want +got):\n%s", diff)
	}
}

func deadStrangeCursor(t *testing.T, l line) {
	for _, c := range []string{"x", "-", "+", "(1", " ", "-1"} {
		if _, _, err := l.q.Dead(t.Context(), c, 10); !errors.Is(err, queue.ErrCursor) {
			t.Errorf("list from %q: got %v, want %v", c, err, queue.ErrCursor)
		}
	}
}

func forgets(t *testing.T, l line) {
	l.push("a", "b")
	for _, held := range l.lease("w", 2) {
		l.bury(held, "why")
	}
	l.forget("a")
	items, _ := l.dead("", 10)
	if diff := cmp.Diff([]string{"b"}, deadIDs(items)); diff != "" {
		t.Errorf("the dead (-want +got):\n%s", diff)
	}
	for _, id := range []string{"a", "nobody", ""} {
		if err := l.q.Forget(t.Context(), id, items[0].Token); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("forget %q: got %v, want %v", id, err, queue.ErrNotFound)
		}
	}
	l.push("a") // what was forgotten can be buried again
	l.bury(l.one("w", "a"), "why")
	l.forget("a")
}

func forgetsOneBurial(t *testing.T, l line) {
	var tokens []string
	for range 2 {
		l.push("a")
		l.bury(l.one("w", "a"), "why")
		items, _ := l.dead("", 10)
		tokens = append(tokens, items[0].Token)
	}
	if err := l.q.Forget(t.Context(), "a", tokens[0]); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("forget the burial before the last: got %v, want %v", err, queue.ErrNotFound)
	}
	if items, _ := l.dead("", 10); len(items) != 1 {
		t.Fatalf("the dead: got %v, want it still", deadIDs(items))
	}
	if err := l.q.Forget(t.Context(), "a", tokens[1]); err != nil {
		t.Errorf("forget the last burial: %v", err)
	}
}

func deadAreBounded(t *testing.T, l line) {
	const over = 3
	for id := range queue.MaxDead + over {
		l.push(fmt.Sprint(id))
	}
	why := strings.Repeat("a€", queue.MaxWhy)
	for _, held := range l.lease("w", queue.MaxDead+over) {
		l.bury(held, why)
	}
	items, next := l.dead("", queue.MaxDead+over)
	if len(items) != queue.MaxDead || next != "" {
		t.Fatalf("the dead: got %d and next %q, want %d", len(items), next, queue.MaxDead)
	}
	if last := items[len(items)-1].Item.ID; last != fmt.Sprint(over) {
		t.Errorf("the oldest that is listed: got %s, want %d", last, over)
	}
	got := items[0].Why
	if len(got) > queue.MaxWhy || len(got) < queue.MaxWhy-utf8.UTFMax || !strings.HasPrefix(why, got) {
		t.Errorf("why: got %d bytes that end in %q, want %d of what was said", len(got), got[max(len(got)-4, 0):], queue.MaxWhy)
	}
	if err := l.q.Forget(t.Context(), "0", items[0].Token); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("forget one that is over the bound: got %v, want %v", err, queue.ErrNotFound)
	}
}

func onlyHolderBuries(t *testing.T, l line) {
	l.push("a")
	first := l.one("dead", "a")
	second := l.one("heir", "a")
	l.isLost(first)
	l.bury(second, "why")
	l.len(queue.Length{})
	if items, _ := l.dead("", 10); len(items) != 1 || items[0].Why != "why" {
		t.Errorf("the dead: got %+v, want it buried by its heir", items)
	}
}

func (l line) bury(lease queue.Lease[string], why string) {
	l.t.Helper()
	if err := l.q.Bury(l.t.Context(), lease, why); err != nil {
		l.t.Fatalf("bury %s: %v", lease.Item.ID, err)
	}
}

func (l line) dead(cursor string, limit int) ([]queue.Dead[string], string) {
	l.t.Helper()
	items, next, err := l.q.Dead(l.t.Context(), cursor, limit)
	if err != nil {
		l.t.Fatalf("list the dead from %q: %v", cursor, err)
	}
	return items, next
}

func (l line) forget(id string) {
	l.t.Helper()
	items, _ := l.dead("", queue.MaxDead)
	for _, d := range items {
		if d.Item.ID != id {
			continue
		}
		if err := l.q.Forget(l.t.Context(), id, d.Token); err != nil {
			l.t.Fatalf("forget %s: %v", id, err)
		}
		return
	}
	l.t.Fatalf("forget %s: it is not among the dead", id)
}

func deadIDs(items []queue.Dead[string]) []string {
	var got []string
	for _, d := range items {
		got = append(got, d.Item.ID)
	}
	return got
}
