package redisstore_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/store/memstore"
	"github.com/millrace-ci/millrace/agent/store/redisstore"
	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/triggers"
)

// TestRefsAsInMemory: whatever is heard, the script answers as the store in memory, which is Go and can be read.
func TestRefsAsInMemory(t *testing.T) {
	t.Parallel()
	here := redisstore.NewRefs(redistest.Start(t).Client())
	stories := 0
	rapid.Check(t, func(rt *rapid.T) {
		stories++
		repo := store.Repo{Forge: "gitea", Repository: triggers.Repository{Name: fmt.Sprint("shop/", stories)}}
		mem := memstore.NewRefs()
		if rapid.Bool().Draw(rt, "known") {
			if err := errors.Join(here.Hurry(t.Context(), time.UnixMilli(1e12), repo), mem.Hurry(t.Context(), time.UnixMilli(1e12), repo)); err != nil {
				rt.Fatal(err)
			}
		}
		for range rapid.IntRange(1, 30).Draw(rt, "length") {
			h := store.Heard{Repo: repo, Ref: "refs/heads/main", Look: time.UnixMilli(1e12), Sight: store.Sight{
				Before: rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(rt, "before"), After: rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(rt, "after"),
				Hook: rapid.SampledFrom([]string{"", "1", "2"}).Draw(rt, "hook"), Delivery: fmt.Sprint("d", rapid.IntRange(1, 12).Draw(rt, "delivery")), // more than are remembered
				At: time.UnixMilli(1e12 + rapid.Int64Range(0, 90_000).Draw(rt, "at")).UTC(), Recovered: rapid.Bool().Draw(rt, "recovered"),
			}}
			got, err := here.Note(t.Context(), h)
			if err != nil {
				rt.Fatal(err)
			}
			if want, _ := mem.Note(t.Context(), h); got.First != want.First {
				rt.Fatalf("%+v: redis says %q, memory %q", h.Sight, got.First, want.First)
			}
		}
		got, err := here.Sights(t.Context(), repo.Forge, repo.Name)
		want, _ := mem.Sights(t.Context(), repo.Forge, repo.Name)
		if err != nil || got["refs/heads/main"] != want["refs/heads/main"] {
			rt.Fatalf("redis keeps %+v (%v), memory %+v", got, err, want)
		}
	})
}
