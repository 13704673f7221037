package api

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

const (
	defaultLimit   = 50
	largestLimit   = 500
	shortestCommit = 7 // see store.Filter
)

// states are those that a run can be in.
var states = []run.State{run.Waiting, run.Running, run.Canceling, run.Succeeded, run.Failed, run.Canceled, run.Skipped}

// place is where in a list a request wants to read.
type place struct {
	cursor string
	limit  int
}

// placeOf reads the place, and refuses parameters that are neither its own nor in others: a filter with a typing mistake
// would find everything.
func placeOf(q url.Values, others ...string) (place, error) {
	at := place{q.Get("cursor"), defaultLimit}
	known := slices.Concat(others, []string{"cursor", "limit"})
	for name := range q {
		if !slices.Contains(known, name) {
			return at, bad("%.40q is no parameter of this list; it has %s", name, strings.Join(known, ", "))
		}
	}
	limit := q.Get("limit")
	if limit == "" {
		return at, nil
	}
	var err error
	if at.limit, err = strconv.Atoi(limit); err != nil || at.limit < 1 || at.limit > largestLimit {
		return at, bad("limit: say a number from 1 to %d", largestLimit)
	}
	return at, nil
}

// filterOf reads which runs a request wants.
func filterOf(q url.Values) (store.Filter, error) {
	f := store.Filter{
		Repo: q.Get("repo"), Branch: q.Get("branch"), Pipeline: q.Get("pipeline"),
		State: run.State(q.Get("state")), Commit: q.Get("commit"),
	}
	switch {
	case f.State != "" && !slices.Contains(states, f.State):
		return f, bad("state: say one of %s", strings.Trim(fmt.Sprint(states), "[]"))
	case f.Commit != "" && len(f.Commit) < shortestCommit:
		return f, bad("commit: say at least its first %d characters", shortestCommit)
	}
	return f, nil
}
