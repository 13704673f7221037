package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// The lists of runs besides that of all, keyRuns. Those with a colon at their end are one per value.
const (
	listLive      = keyRuns + ":live"
	listUncounted = keyRuns + ":uncounted" // settled runs of which is not counted what they hold
	listCounted   = keyRuns + ":counted"   // and those of which it is
	listRepo      = keyRuns + ":repo:"
	listBranch    = keyRuns + ":branch:"
	listPipeline  = keyRuns + ":pipeline:"
	listState     = keyRuns + ":state:"
	listCommit    = keyRuns + ":commit:" // by the first shortCommit characters
)

const (
	shortCommit = 7    // the least that names a commit
	maxPage     = 1000 // runs that one List or Live returns at most
	maxLooks    = 5000 // runs that one List looks at, a few milliseconds of Redis's time
)

// ids takes the ids out of places.
func ids(places []string) []string {
	list := make([]string, 0, len(places))
	for _, p := range places {
		list = append(list, store.RunAt(p))
	}
	return list
}

// lists is where a run stands: in the list of all and in one for each thing that it can be found by.
func lists(r run.Run) []string {
	e := r.Plan.Event
	in := append([]string{keyRuns}, chosen(store.Filter{
		Repo: e.Repo.Name, Branch: e.Branch, Pipeline: r.Plan.Pipeline, State: r.State, Commit: e.After,
	})...)
	if !r.Settled() {
		return append(in, listLive)
	}
	return append(in, listUncounted)
}

// moves is which lists a run leaves and which it joins when it becomes next.
func moves(r, next run.Run) (leave, join []string) {
	before, after := lists(r), lists(next)
	leave = slices.DeleteFunc(slices.Clone(before), func(l string) bool { return slices.Contains(after, l) })
	join = slices.DeleteFunc(after, func(l string) bool { return slices.Contains(before, l) })
	if slices.Contains(leave, listUncounted) { // it may have been counted since
		leave = append(leave, listCounted)
	}
	return leave, join
}

// chosen is the lists that a filter chooses from, one for each of its fields.
func chosen(f store.Filter) []string {
	var in []string
	for _, l := range []struct{ list, value string }{
		{listRepo, f.Repo},
		{listBranch, f.Branch},
		{listPipeline, f.Pipeline},
		{listState, string(f.State)},
		{listCommit, f.Commit[:min(len(f.Commit), shortCommit)]},
	} {
		if l.value != "" {
			in = append(in, l.list+l.value)
		}
	}
	return in
}

// List keeps the contract. Two round trips: one for the ids, one for the runs. A page may have fewer runs than limit,
// even none, and others may follow: it looks at 5,000 runs and reads 1,000 at most. A filter of one field finds what
// it looks at; one of several looks at the runs of that field which has the fewest.
func (s *Store) List(ctx context.Context, f store.Filter, cursor string, limit int) ([]run.Run, string, error) {
	if err := store.CheckCursor(cursor); err != nil {
		return nil, "", err
	}
	limit = min(limit, maxPage)
	if limit < 1 || f.Commit != "" && len(f.Commit) < shortCommit {
		return nil, "", nil
	}
	keys := chosen(f)
	if len(keys) == 0 {
		keys = []string{keyRuns}
	}
	from := "+"
	if cursor != "" {
		from = "(" + cursor
	}
	answer, err := listScript.Run(ctx, s.rdb, keys, from, limit, maxLooks).Slice()
	if err != nil {
		return nil, "", fmt.Errorf("list runs: %w", err)
	}
	next, places, err := listed(answer)
	if err != nil || len(places) == 0 {
		return nil, next, err
	}
	runs, err := s.fetch(ctx, places)
	if err != nil {
		return nil, "", err
	}
	// The list of a commit is that of all commits which begin alike.
	runs = slices.DeleteFunc(runs, func(r run.Run) bool {
		return r.State != run.Unreadable && !strings.HasPrefix(r.Plan.Event.After, f.Commit)
	})
	return runs, next, nil
}

// listed reads the answer of list.lua.
func listed(answer []any) (next string, places []string, err error) {
	if len(answer) == 2 {
		last, isText := answer[0].(string)
		found, isList := answer[1].([]any)
		if isText && isList {
			for _, p := range found {
				place, _ := p.(string)
				places = append(places, place)
			}
			return last, places, nil
		}
	}
	return "", nil, errors.New("list runs: redis gave a strange answer")
}

// Live keeps the contract. One round trip.
func (s *Store) Live(ctx context.Context, cursor string, limit int) ([]string, string, error) {
	return s.oldest(ctx, listLive, "+", cursor, limit)
}

// oldest returns a page of a list, oldest first, from after cursor to end.
func (s *Store) oldest(ctx context.Context, list, end, cursor string, limit int) (found []string, next string, err error) {
	if err := store.CheckCursor(cursor); err != nil {
		return nil, "", err
	}
	limit = min(limit, maxPage)
	if limit < 1 {
		return nil, "", nil
	}
	// One more than asked for tells whether this is the end.
	places, err := s.rdb.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: list, Start: after(cursor), Stop: end, ByLex: true, Count: int64(limit) + 1,
	}).Result()
	if err != nil {
		return nil, "", fmt.Errorf("list runs from the oldest on: %w", err)
	}
	found, next = page(places, limit)
	return found, next, nil
}

// after is where a list goes on after cursor, as ZRANGE BYLEX takes it.
func after(cursor string) string {
	if cursor == "" {
		return "-"
	}
	return "(" + cursor
}

// page is the ids at the first limit places, and the cursor of the next page if there are more.
func page(places []string, limit int) (found []string, next string) {
	if len(places) > limit {
		places = places[:limit]
		next = places[limit-1]
	}
	return ids(places), next
}
