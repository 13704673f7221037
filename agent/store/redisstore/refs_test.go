package redisstore_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/store/redisstore"
	"github.com/millrace-ci/millrace/agent/store/storetest"
	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/triggers"
)

func TestRefsLaws(t *testing.T) {
	t.Parallel()
	storetest.RunRefs(t, func(t *testing.T) (here, there store.Refs) {
		server := redistest.Start(t)
		return redisstore.NewRefs(server.Client()), redisstore.NewRefs(server.Client())
	})
}

// counted counts round trips.
type counted struct{ trips atomic.Int32 }

func (c *counted) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *counted) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.trips.Add(1)
		return next(ctx, cmd)
	}
}

func (c *counted) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestRefsTripsAndKeys: each verb is one round trip, and every key that it writes is in docs/redis.md.
func TestRefsTripsAndKeys(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := server.Client()
	r := redisstore.NewRefs(rdb)
	repo := store.Repo{Forge: "gitea", Repository: triggers.Repository{Name: "shop/api"}}
	at := time.UnixMilli(1e12).UTC()
	heard := store.Heard{Repo: repo, Ref: "refs/heads/main", Sight: store.Sight{After: "a", Delivery: "d1", At: at}, Look: at}
	watch := store.Watch{Repo: repo, Due: at}
	verbs := map[string]func(context.Context) error{
		"note": func(ctx context.Context) error { _, err := r.Note(ctx, heard); return err },
		"due":  func(ctx context.Context) error { _, err := r.Due(ctx, at, 9); return err },
		"latest": func(ctx context.Context) error {
			_, err := r.Latest(ctx, "gitea", "shop/api", "refs/heads/main")
			return err
		},
		"sights": func(ctx context.Context) error { _, err := r.Sights(ctx, "gitea", "shop/api"); return err },
		"looked": func(ctx context.Context) error {
			return r.Looked(ctx, watch, store.Look{Found: map[string]string{"refs/heads/x": "a"}, Next: at})
		},
		"ask": func(ctx context.Context) error {
			return r.Ask(ctx, repo, "main", store.Request{Number: 7, Target: "prod"}, true)
		},
		"hurry": func(ctx context.Context) error { return r.Hurry(ctx, at, repo) },
	}
	for _, verb := range verbs { // scripts are loaded
		if err := verb(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	count := new(counted)
	rdb.AddHook(count)
	for name, verb := range verbs {
		before := count.trips.Load()
		if err := verb(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := count.trips.Load() - before; got != 1 {
			t.Errorf("%s makes %d round trips, want 1", name, got)
		}
	}
	redistest.Documented(t, rdb, "../../../docs/redis.md")
}

// TestRefsOfNewerForm: what a newer Millrace wrote is left as it is.
func TestRefsOfNewerForm(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	r := redisstore.NewRefs(rdb)
	repo := store.Repo{Forge: "gitea", Repository: triggers.Repository{Name: "shop/api"}}
	key := "{millrace}:refs:of:gitea:shop/api"
	if err := rdb.HSet(t.Context(), key, "refs/heads/main", "2 {}").Err(); err != nil {
		t.Fatal(err)
	}
	_, err := r.Note(t.Context(), store.Heard{Repo: repo, Ref: "refs/heads/main", Sight: store.Sight{After: "a", Delivery: "d1"}})
	if err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("noted over it: %v", err)
	}
	if _, err := r.Sights(t.Context(), "gitea", "shop/api"); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("read it: %v", err)
	}
	if got := rdb.HGet(t.Context(), key, "refs/heads/main").Val(); got != "2 {}" {
		t.Errorf("it is %q now", got)
	}
}

// TestDueWhatCannotBeRead: a repository of which nothing is known, or that a newer Millrace wrote, is not in the way of
// the others; the newer one's stays.
func TestDueWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	r := redisstore.NewRefs(rdb)
	at := time.UnixMilli(1e12).UTC()
	repo := store.Repo{Forge: "gitea", Repository: triggers.Repository{Name: "shop/api"}}
	if err := r.Hurry(t.Context(), at, repo); err != nil {
		t.Fatal(err)
	}
	if err := rdb.HSet(t.Context(), "{millrace}:refs:repos", "gitea:shop/newer", "2 {}").Err(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gitea:shop/newer", "gitea:shop/gone"} {
		if err := rdb.ZAdd(t.Context(), "{millrace}:refs:due", redis.Z{Score: 1, Member: name}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	due, err := r.Due(t.Context(), at, 10)
	if err != nil || len(due) != 1 || due[0].Name != repo.Name {
		t.Errorf("due: got %+v, %v, want the one that can be read", due, err)
	}
	left := rdb.ZRange(t.Context(), "{millrace}:refs:due", 0, -1).Val()
	if diff := cmp.Diff([]string{"gitea:shop/newer", "gitea:shop/api"}, left); diff != "" {
		t.Errorf("what is left to be looked at (-want +got):\n%s", diff)
	}
}
