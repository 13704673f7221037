//go:build chaos

package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/test/forgekit"
)

// push is one that was made, and what has to come of it.
type push struct {
	branch, commit string
	kind           kind
}

// kind is how the run of a push has to go.
type kind struct {
	name     string
	image    string // the script of its last task, after the line for the ledger
	more     string // keys of its last task
	ends     run.State
	attempts int // of its last task
}

var pushKinds = []kind{
	{name: "green", image: "true", ends: run.Succeeded, attempts: 1},
	{name: "slow", image: "sleep 4", ends: run.Succeeded, attempts: 1},
	{name: "red", image: "exit 3", ends: run.Failed, attempts: 1},
	{name: "second time lucky", image: `[ "$ATTEMPT" = 2 ]`, more: ", retry: {max: 1, backoff: 1s}", ends: run.Succeeded, attempts: 2},
}

// definition is a pipeline whose tasks each write a line to the ledger before they do anything else.
func (w *world) definition(k kind) string {
	task := func(name, script, more string) string {
		return fmt.Sprintf("{name: %s, uses: script@v1, with: {%sSCRIPT: %q}%s}", name, w.ground.with, w.ground.mark+"; "+script, more)
	}
	return strings.Join([]string{
		"name: grind", "on: {push: {}}", "stages:",
		"  - {name: check, parallel: true, tasks: [" + task("unit", "true", "") + ", " + task("lint", "sleep 0.3", "") + "]}",
		"  - {name: build, tasks: [" + task("image", k.image, k.more) + "]}", "",
	}, "\n")
}

const (
	owner, repository = "mill", "flour"
	branches          = 3
)

// pushes pushes commits to several branches while the world suffers.
func (w *world) pushes(rng *rand.Rand) []push {
	ctx, cancel := patiently()
	defer cancel()
	var trees []*forgekit.Worktree
	for i := range branches {
		tree, err := forgekit.Clone(ctx, w.forge.CloneURL(owner, repository), fmt.Sprintf("b%d", i))
		if err != nil {
			w.t.Error(err)
			return nil
		}
		defer tree.Close()
		trees = append(trees, tree)
	}
	var all []push
	for range 6 + rng.IntN(6) {
		i, k := rng.IntN(branches), pushKinds[rng.IntN(len(pushKinds))]
		commit, err := w.push(ctx, trees[i], k)
		if err != nil {
			w.t.Error(err)
			return all
		}
		all = append(all, push{fmt.Sprintf("b%d", i), commit, k})
		w.note("pushed %s to b%d: %s", commit[:7], i, k.name)
		pass(between(rng, 0, w.ground.disturbance/5))
	}
	return all
}

// heads are the newest pushes of the branches: what is behind them may have been pushed over before anybody heard of it.
func heads(made []push) map[string]string {
	all := map[string]string{}
	for _, p := range made {
		all[p.branch] = p.commit
	}
	return all
}

func (w *world) push(ctx context.Context, tree *forgekit.Worktree, k kind) (string, error) {
	commit, err := tree.Commit(ctx, k.name+" "+time.Now().String(), map[string]string{".millrace.yaml": w.definition(k)})
	if err != nil {
		return "", err
	}
	return commit, tree.Push(ctx)
}
