package redisstore

import (
	"context"
	_ "embed" // The scripts are files.
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers"
)

// What Refs holds. In keyDue, keyRepos and keyLooks a repository is called forge:owner/name.
const (
	keyRefs  = "{millrace}:refs:of:" // and what the repository is called
	keyDue   = "{millrace}:refs:due"
	keyRepos = "{millrace}:refs:repos"
	keyLooks = "{millrace}:refs:looks"
	keyOpen  = "{millrace}:refs:open:" // and what the repository is called
)

var (
	//go:embed note.lua
	noteSource string
	//go:embed ask.lua
	askSource string
	//go:embed due.lua
	dueSource string
	//go:embed looked.lua
	lookedSource string
	//go:embed hurry.lua
	hurrySource string
	//go:embed drop.lua
	dropSource string

	noteScript   = redis.NewScript(noteSource)
	askScript    = redis.NewScript(askSource)
	dueScript    = redis.NewScript(dueSource)
	lookedScript = redis.NewScript(lookedSource)
	hurryScript  = redis.NewScript(hurrySource)
	dropScript   = redis.NewScript(dropSource)
)

// maxSaid is for how many deliveries of a ref Note's answer is remembered.
const maxSaid = 8

// keepOpen is how long the open requests of a repository are known after one of them was heard of.
const keepOpen = 90 * 24 * time.Hour

// Refs keeps the contract of store.Refs in Redis. Any number of them, in any number of processes, may share one.
type Refs struct{ rdb redis.UniversalClient }

// NewRefs returns a store of refs in Redis. It does not speak to the server.
func NewRefs(rdb redis.UniversalClient) *Refs { return &Refs{rdb} }

// called is what a repository is called: no forge's name has a colon.
func called(forge, repo string) string { return forge + ":" + repo }

// sight is a store.Sight as scripts read it.
type sight struct {
	Before    string `json:"before"`
	After     string `json:"after"`
	Hook      string `json:"hook"`
	Delivery  string `json:"delivery"`
	At        int64  `json:"at"` // milliseconds
	Recovered bool   `json:"recovered,omitempty"`
}

// watched is a repository as it is stored.
type watched struct {
	Forge string `json:"forge"`
	triggers.Repository
}

// looked is what a look leaves.
type looked struct {
	Seen       time.Time                  `json:"seen,omitzero"`
	Failing    time.Time                  `json:"failing,omitzero"`
	Asked      time.Time                  `json:"asked,omitzero"`
	Arrived    time.Time                  `json:"arrived,omitzero"`
	Crowded    bool                       `json:"crowded,omitempty"`
	Suspicions map[string]store.Suspicion `json:"suspicions,omitempty"`
}

// Note keeps the contract. One round trip.
func (r *Refs) Note(ctx context.Context, h store.Heard) (store.Noted, error) {
	repo := ""
	if !h.Recovered { // who looks knows no more of the repository than we do
		var err error
		if repo, err = encode(watched(h.Repo)); err != nil {
			return store.Noted{}, fmt.Errorf("note %s of %s: %w", h.Ref, h.Name, err)
		}
	}
	seen, err := json.Marshal(sight{h.Before, h.After, h.Hook, h.Delivery, h.At.UnixMilli(), h.Recovered})
	if err != nil {
		return store.Noted{}, fmt.Errorf("note %s of %s: %w", h.Ref, h.Name, err)
	}
	name := called(h.Forge, h.Name)
	branch, _ := triggers.SplitRef(h.Ref)
	answer, err := noteScript.Run(ctx, r.rdb, []string{keyRefs + name, keyDue, keyRepos, keyOpen + name},
		name, repo, h.Look.UnixMilli(), h.Ref, seen, store.MaxWatched, store.MaxRefs, maxSaid, store.SameWithin.Milliseconds(), branch).StringSlice()
	if err == nil && len(answer) != 2 {
		err = errors.New("redis gave a strange answer")
	}
	if err != nil {
		return store.Noted{}, fmt.Errorf("note %s of %s: %w", h.Ref, h.Name, err)
	}
	noted := store.Noted{First: answer[0]}
	if answer[1] != "" {
		if err := decode(answer[1], &noted.Open); err != nil {
			return store.Noted{}, fmt.Errorf("read open requests of %s: %w", h.Name, err)
		}
	}
	return noted, nil
}

// Ask keeps the contract. One round trip. At most MaxRefs branches of a repository have requests that are known, for as
// long as keepOpen.
func (r *Refs) Ask(ctx context.Context, repo store.Repo, branch string, q store.Request, open bool) error {
	value := []byte{}
	if open {
		var err error
		if value, err = json.Marshal(q); err != nil {
			return fmt.Errorf("note request %d of %s: %w", q.Number, repo.Name, err)
		}
	}
	err := askScript.Run(ctx, r.rdb, []string{keyOpen + called(repo.Forge, repo.Name)},
		branch, q.Number, value, store.MaxRefs, store.MaxRequests, keepOpen.Milliseconds()).Err()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("note request %d of %s: %w", q.Number, repo.Name, err)
	}
	return nil
}

// Due keeps the contract. One round trip, and one more for each limit of those that cannot be read: they are left to the
// newer Millrace that wrote them, and passed over.
func (r *Refs) Due(ctx context.Context, at time.Time, limit int) ([]store.Watch, error) {
	var due []store.Watch
	for passed, more := 0, limit > 0; more && len(due) == 0; {
		answer, err := dueScript.Run(ctx, r.rdb, []string{keyDue, keyRepos, keyLooks}, at.UnixMilli(), passed, limit).StringSlice()
		if err == nil && len(answer)%3 != 0 {
			err = errors.New("redis gave a strange answer")
		}
		if err != nil {
			return nil, fmt.Errorf("list repositories to look at: %w", err)
		}
		for one := range slices.Chunk(answer, 3) {
			if w, err := watchOf(one[0], one[1], one[2]); err == nil {
				due = append(due, w)
			}
		}
		passed, more = passed+len(answer)/3, len(answer) > 0
	}
	return due, nil
}

// watchOf reads one of the answers of due.lua.
func watchOf(due, repo, look string) (store.Watch, error) {
	millis, err := strconv.ParseFloat(due, 64)
	if err != nil {
		return store.Watch{}, fmt.Errorf("read when: %w", err)
	}
	var known watched
	if err := decode(repo, &known); err != nil {
		return store.Watch{}, fmt.Errorf("read repository: %w", err)
	}
	var last looked
	if look != "" {
		if err := decode(look, &last); err != nil {
			return store.Watch{}, fmt.Errorf("read last look at %s: %w", known.Name, err)
		}
	}
	return store.Watch{
		Repo: store.Repo(known), Due: time.UnixMilli(int64(millis)).UTC(),
		Seen: last.Seen, Failing: last.Failing, Asked: last.Asked, Arrived: last.Arrived, Crowded: last.Crowded, Suspicions: last.Suspicions,
	}, nil
}

// Sights keeps the contract. One round trip.
func (r *Refs) Sights(ctx context.Context, forge, repo string) (map[string]store.Sight, error) {
	values, err := r.rdb.HGetAll(ctx, keyRefs+called(forge, repo)).Result()
	if err != nil {
		return nil, fmt.Errorf("refs of %s: %w", repo, err)
	}
	sights := make(map[string]store.Sight, len(values))
	for ref, value := range values {
		if sights[ref], err = sightOf(value); err != nil {
			return nil, fmt.Errorf("read %s of %s: %w", ref, repo, err)
		}
	}
	return sights, nil
}

// Latest keeps the contract. One round trip.
func (r *Refs) Latest(ctx context.Context, forge, repo, ref string) (store.Sight, error) {
	value, err := r.rdb.HGet(ctx, keyRefs+called(forge, repo), ref).Result()
	if errors.Is(err, redis.Nil) {
		return store.Sight{}, nil
	}
	var latest store.Sight
	if err == nil {
		latest, err = sightOf(value)
	}
	if err != nil {
		return latest, fmt.Errorf("read %s of %s: %w", ref, repo, err)
	}
	return latest, nil
}

// sightOf reads what note.lua and looked.lua write.
func sightOf(value string) (store.Sight, error) {
	var s sight
	if err := decode(value, &s); err != nil {
		return store.Sight{}, err
	}
	return store.Sight{
		Before: s.Before, After: s.After, Hook: s.Hook, Delivery: s.Delivery, At: time.UnixMilli(s.At).UTC(), Recovered: s.Recovered,
	}, nil
}

// Looked keeps the contract. One round trip.
func (r *Refs) Looked(ctx context.Context, w store.Watch, l store.Look) error {
	name := called(w.Forge, w.Name)
	left, err := encode(looked{w.Seen, w.Failing, w.Asked, w.Arrived, w.Crowded, w.Suspicions})
	if err != nil {
		return fmt.Errorf("end look at %s: %w", w.Name, err)
	}
	args := []any{name, left, w.Due.UnixMilli(), l.Next.UnixMilli(), store.MaxRefs, len(l.Gone)}
	for _, ref := range l.Gone {
		args = append(args, ref)
	}
	for ref, commit := range l.Found {
		found, err := encode(sight{After: commit, At: w.Seen.UnixMilli()})
		if err != nil {
			return fmt.Errorf("end look at %s: %w", w.Name, err)
		}
		args = append(args, ref, found)
	}
	if err := lookedScript.Run(ctx, r.rdb, []string{keyRefs + name, keyDue, keyLooks}, args...).Err(); err != nil {
		return fmt.Errorf("end look at %s: %w", w.Name, err)
	}
	return nil
}

// Hurry keeps the contract. One round trip.
func (r *Refs) Hurry(ctx context.Context, at time.Time, also ...store.Repo) error {
	args := []any{at.UnixMilli(), store.MaxWatched}
	for _, repo := range also {
		value, err := encode(watched(repo))
		if err != nil {
			return fmt.Errorf("hurry looks: %w", err)
		}
		args = append(args, called(repo.Forge, repo.Name), value)
	}
	if err := hurryScript.Run(ctx, r.rdb, []string{keyDue, keyRepos}, args...).Err(); err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("hurry looks: %w", err)
	}
	return nil
}

// Drop keeps the contract. One round trip.
func (r *Refs) Drop(ctx context.Context, repo store.Repo) error {
	name := called(repo.Forge, repo.Name)
	err := dropScript.Run(ctx, r.rdb, []string{keyRefs + name, keyDue, keyRepos, keyLooks, keyOpen + name}, name).Err()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("drop %s: %w", repo.Name, err)
	}
	return nil
}
