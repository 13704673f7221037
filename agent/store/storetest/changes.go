package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/run"
)

// next reads one change, or fails the test when none comes.
func next(t *testing.T, changes <-chan string) string {
	t.Helper()
	select {
	case id, ok := <-changes:
		if !ok {
			t.Fatal("changes ended too early")
		}
		return id
	case <-time.After(limit):
		t.Fatal("no change is told")
	}
	return ""
}

func changesAreTold(t *testing.T, p pair) {
	one, err := p.there.Changes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other, err := p.here.Changes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := p.create(plain(1, 1))
	p.create(plain(2, 1))
	p.tell(r, run.Started{Task: "t0", Attempt: 1, Worker: "w", At: start})
	for _, changes := range []<-chan string{one, other} {
		got := []string{next(t, changes), next(t, changes), next(t, changes)}
		same(t, "changes", got, []string{id(1), id(2), id(1)})
	}
}

// slowReaderMisses saves until the reader, who reads nothing, must have missed some. Then it must come to "" before
// everything that it can be sure to hear again.
func slowReaderMisses(t *testing.T, p pair) {
	slow, err := p.there.Changes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fast, err := p.there.Changes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := p.create(plain(1, 1))
	next(t, fast)
	for range cap(slow) + 10 {
		r = p.tell(r, run.Started{Task: "t0", Attempt: 1, Worker: fmt.Sprint("w", r.Version), At: start})
		next(t, fast)
	}
	heard := 0
	for got := next(t, slow); got != ""; got = next(t, slow) {
		heard++
	}
	if heard > r.Version {
		t.Errorf("the slow reader heard %d changes before it heard that some were missing, want at most %d", heard, r.Version)
	}
	p.create(plain(2, 1))
	for got := next(t, slow); got != id(2); got = next(t, slow) {
		if got != id(1) && got != "" {
			t.Errorf("got %q, want nothing but %q and %q", got, id(1), id(2))
		}
	}
}

func changesEnd(t *testing.T, p pair) {
	ctx, cancel := context.WithCancel(t.Context())
	changes, err := p.there.Changes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case _, ok := <-changes:
		if ok {
			t.Error("a change was told that nobody made")
		}
	case <-time.After(limit):
		t.Fatal("changes did not end with their context")
	}
	p.create(plain(1, 1)) // and nobody sends on what is closed
}
