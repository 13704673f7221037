package redisstore

import (
	"context"
	_ "embed" // The scripts are files.
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// keyBytes is what each counted run holds, and all of them together.
const keyBytes = keyRuns + ":bytes"

var (
	//go:embed missed.lua
	missedSource string
	//go:embed uncounted.lua
	uncountedSource string
	//go:embed count.lua
	countSource string
	//go:embed over.lua
	overSource string
	//go:embed delete.lua
	deleteSource string

	missedScript    = redis.NewScript(missedSource)
	uncountedScript = redis.NewScript(uncountedSource)
	countScript     = redis.NewScript(countSource)
	overScript      = redis.NewScript(overSource)
	deleteScript    = redis.NewScript(deleteSource)
)

// Old keeps the contract. One round trip.
func (s *Store) Old(ctx context.Context, before time.Time, cursor string, limit int) ([]string, string, error) {
	return s.oldest(ctx, keyRuns, "("+store.PlaceOf(before), cursor, limit)
}

// Missed keeps the contract. One round trip, which looks at 1,000 runs at most.
func (s *Store) Missed(ctx context.Context, cursor string, limit int) (next string, err error) {
	if err := store.CheckCursor(cursor); err != nil {
		return "", err
	}
	keys := []string{keyRuns, listLive, listUncounted, listCounted}
	next, err = missedScript.Run(ctx, s.rdb, keys, keyRun, after(cursor), max(1, min(limit, maxPage))).Text()
	if err != nil {
		return "", fmt.Errorf("find runs that were settled and not listed: %w", err)
	}
	return next, nil
}

// Uncounted keeps the contract. One round trip. A run that was deleted by who does not count is listed once more.
func (s *Store) Uncounted(ctx context.Context, cursor string, limit int) ([]string, string, error) {
	if err := store.CheckCursor(cursor); err != nil {
		return nil, "", err
	}
	limit = min(limit, maxPage)
	if limit < 1 {
		return nil, "", nil
	}
	places, err := uncountedScript.Run(ctx, s.rdb, []string{listUncounted}, keyRun, after(cursor), limit+1).StringSlice()
	if err != nil {
		return nil, "", fmt.Errorf("list runs that are not counted: %w", err)
	}
	found, next := page(places, limit)
	return found, next, nil
}

// Count keeps the contract. One round trip. What a run holds here is the bytes of its values, without what Redis needs
// to find them.
func (s *Store) Count(ctx context.Context, r run.Run, elsewhere int64) error {
	id := r.Plan.ID
	if !r.Settled() {
		return fmt.Errorf("count run %s: %w", id, store.ErrUnsettled)
	}
	keys := []string{keyRun + id, keyRun + id + planSuffix, keyBytes, listUncounted, listCounted}
	version, err := countScript.Run(ctx, s.rdb, keys, store.Place(r), id, r.Version, elsewhere).Int()
	switch {
	case err != nil:
		return fmt.Errorf("count run %s: %w", id, err)
	case version < 0:
		return fmt.Errorf("count run %s: %w", id, store.ErrNotFound)
	case version != r.Version:
		return fmt.Errorf("count run %s of version %d: it has version %d: %w", id, r.Version, version, store.ErrConflict)
	}
	return nil
}

// Over keeps the contract. One round trip, which looks at as many runs as it returns.
func (s *Store) Over(ctx context.Context, most int64, limit int) ([]string, error) {
	over, err := overScript.Run(ctx, s.rdb, []string{listCounted, keyBytes}, keyRun, most, min(limit, maxPage)).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("list runs that are too many: %w", err)
	}
	return over, nil
}

// Delete keeps the contract. One round trip.
func (s *Store) Delete(ctx context.Context, r run.Run) error {
	id := r.Plan.ID
	if !r.Settled() {
		return fmt.Errorf("delete run %s: %w", id, store.ErrUnsettled)
	}
	keys := append([]string{keyRun + id, keyRun + id + planSuffix, keyBytes, listCounted}, lists(r)...)
	version, err := deleteScript.Run(ctx, s.rdb, keys, store.Place(r), id, r.Version).Int()
	if err != nil {
		return fmt.Errorf("delete run %s: %w", id, err)
	}
	if version != r.Version && version >= 0 {
		return fmt.Errorf("delete run %s of version %d: it has version %d: %w", id, r.Version, version, store.ErrConflict)
	}
	return nil
}
