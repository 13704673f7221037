// Package redisstore keeps runs and plans in Redis: they survive what Redis survives. The agent's loops and the API call
// it through package store; it calls Redis 7.0 or later, one script a verb. It decides nothing about runs, and refuses
// to read what a newer Millrace wrote. docs/redis.md lists its keys.
//
// A run is two values: its snapshot, written once and cached here, and a hash with its head and one field per task, of
// which a save writes what changed. So a transition costs the same however many runs are stored and tasks a run has.
package redisstore

import (
	"context"
	_ "embed" // The scripts are files.
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// What the store holds. All keys carry one hash tag, so that a script may touch any of them on a Redis Cluster.
const (
	keyRun     = "{millrace}:run:"
	planSuffix = ":plan"
	keyLane    = "{millrace}:lane:"
	keyRuns    = "{millrace}:runs"
	keyPlan    = "{millrace}:plan:"
	changes    = keyRuns + ":changes"
)

// Fields of a run's hash.
const (
	fieldHead    = "head"
	fieldVersion = "version"
	fieldTask    = "t:" // and the task's name
)

var (
	//go:embed create.lua
	createSource string
	//go:embed save.lua
	saveSource string
	//go:embed list.lua
	listSource string

	createScript = redis.NewScript(createSource)
	saveScript   = redis.NewScript(saveSource)
	listScript   = redis.NewScript(listSource)
)

// Defaults of Config.
const (
	defaultKeepPlans  = 168 * time.Hour
	defaultCacheBytes = 64 << 20
)

// Config is how a Store behaves.
type Config struct {
	KeepPlans  time.Duration // how long the plan of a delivery is kept after it was saved; 0: 168 h
	CacheBytes int           // how many bytes of snapshots are kept in this process, counted as JSON; 0: 64 MiB
}

// Validate reports all that is wrong with c at once.
func (c Config) Validate() error {
	var errs []error
	if c.KeepPlans != 0 && c.KeepPlans < time.Second {
		errs = append(errs, fmt.Errorf("keeping plans for %v is too short, want at least a second", c.KeepPlans))
	}
	if c.CacheBytes < 0 {
		errs = append(errs, fmt.Errorf("a cache of %d bytes is not possible", c.CacheBytes))
	}
	return errors.Join(errs...)
}

// Store keeps the contracts of store.Runs and store.Plans. Any number of Stores, in any number of processes, may share
// one Redis.
type Store struct {
	rdb       redis.UniversalClient
	keepPlans time.Duration
	codec     codec
	snapshots cache
}

// New returns a store in Redis. It does not speak to the server. cfg has been validated.
func New(rdb redis.UniversalClient, cfg Config) *Store {
	if cfg.KeepPlans == 0 {
		cfg.KeepPlans = defaultKeepPlans
	}
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = defaultCacheBytes
	}
	return &Store{rdb: rdb, keepPlans: cfg.KeepPlans, codec: newCodec(), snapshots: newCache(cfg.CacheBytes)}
}

// Create keeps the contract. One round trip. When the answer of a Create is lost, the client asks again and is told
// store.ErrExists: the run is there.
func (s *Store) Create(ctx context.Context, r run.Run) (run.Run, error) {
	id := r.Plan.ID
	plan, size, err := s.codec.pack(r.Plan)
	if err != nil {
		return run.Run{}, fmt.Errorf("create run %s: %w", id, err)
	}
	admitted := store.Admitted(r)
	all, err1 := fields(nil, admitted)
	held, err2 := fields(&admitted, r)
	if err := errors.Join(err1, err2); err != nil {
		return run.Run{}, fmt.Errorf("create run %s: %w", id, err)
	}
	keys, limit := append([]string{keyRun + id, keyRun + id + planSuffix}, lists(r)...), 0
	if r.InLane() {
		keys, limit = append(keys, keyLane+r.Plan.Lane.Name), r.Plan.Lane.Limit
	}
	args := slices.Concat([]any{store.Place(r), id, changes, plan, r.Version, limit, len(all)}, all, held)
	answer, err := createScript.Run(ctx, s.rdb, keys, args...).Text()
	if err == nil && answer == "exists" {
		err = store.ErrExists
	}
	if err != nil {
		return run.Run{}, fmt.Errorf("create run %s: %w", id, err)
	}
	s.snapshots.put(r.Plan, size)
	if answer == "held" {
		return r, nil
	}
	return admitted, nil
}

// Save keeps the contract. One round trip. When the answer of a Save is lost, the client asks again and is told
// store.ErrConflict: who loads the run then sees that it was saved.
func (s *Store) Save(ctx context.Context, r, next run.Run) (saved run.Run, others bool, err error) {
	id := r.Plan.ID
	changed, err := fields(&r, next)
	if err != nil {
		return run.Run{}, false, fmt.Errorf("save run %s: %w", id, err)
	}
	leave, join := moves(r, next)
	lane := ""
	if r.InLane() && !next.InLane() {
		lane = keyLane + r.Plan.Lane.Name
		leave = append(leave, lane)
	}
	keys := slices.Concat([]string{keyRun + id}, leave, join)
	args := append([]any{store.Place(r), id, changes, r.Version, len(leave), lane}, changed...)
	answer, err := saveScript.Run(ctx, s.rdb, keys, args...).Int64Slice()
	if err != nil {
		return run.Run{}, false, fmt.Errorf("save run %s: %w", id, err)
	}
	switch version := int(answer[1]); {
	case version < 0:
		return run.Run{}, false, fmt.Errorf("save run %s: %w", id, store.ErrNotFound)
	case answer[0] == 0:
		return run.Run{}, false, fmt.Errorf("save run %s after version %d: it has version %d: %w", id, r.Version, version, store.ErrConflict)
	default:
		next.Version = version
	}
	return next, answer[2] > 0, nil
}

// Lane keeps the contract. Two round trips: one for the ids, one for the runs.
func (s *Store) Lane(ctx context.Context, name string) (run.Lane, error) {
	places, err := s.rdb.ZRange(ctx, keyLane+name, 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("read lane: %w", err)
	}
	if len(places) == 0 {
		return nil, nil
	}
	runs, err := s.fetch(ctx, places)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(runs, func(r run.Run) bool { return r.State.Final() }), nil // it ended in between
}
