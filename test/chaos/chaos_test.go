//go:build chaos

package chaos_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	rounds = flag.Int("rounds", 20, "how many rounds")
	seed   = flag.Uint64("seed", 0, "seed of the first round, those after it count on; 0: of the clock")
	keep   = flag.String("keep", "", "folder for what the agents of red rounds wrote")
)

// patience is how long it may take after the last fault until nothing is left to be done.
const patience = 2 * time.Minute

// TestChaos lets each round happen in a world of its own, as many at a time as -parallel says, and adds up what was found.
func TestChaos(t *testing.T) {
	chaos(t, func(t *testing.T, seed uint64, sum *tally) {
		t.Parallel()
		round(t, seed, local, sum)
	})
}

// chaos does all rounds, each under the name of its seed.
func chaos(t *testing.T, do func(t *testing.T, seed uint64, sum *tally)) {
	t.Helper()
	if previous == "" {
		t.Logf("no agent is upgraded: here is no git repository that has %s", before)
	}
	first := *seed
	if first == 0 {
		first = uint64(time.Now().UnixNano()) % 1_000_000
	}
	var sum tally
	t.Run("rounds", func(t *testing.T) {
		for i := range *rounds {
			n := first + uint64(i)
			t.Run(fmt.Sprintf("seed-%d", n), func(t *testing.T) { do(t, n, &sum) })
		}
	})
	t.Logf("seeds %d to %d: %s", first, first+uint64(*rounds)-1, &sum)
}

// round is one round: pushes and faults, then the healing, then the look.
func round(t *testing.T, seed uint64, on func(*world) ground, sum *tally) {
	t.Helper()
	w := newWorld(t, seed, on)
	defer func() {
		if t.Failed() {
			t.Logf("what was done:\n%s", w.story())
			w.keepLogs(seed)
		}
	}()
	faults := w.schedule(rand.New(rand.NewPCG(seed, 1)))
	pushed := make(chan []push, 1)
	go func() { pushed <- w.pushes(rand.New(rand.NewPCG(seed, 2))) }()
	w.suffer(faults)
	made := <-pushed
	w.heal()
	if left := w.settle(heads(made)); len(left) > 0 {
		sum.stuck.Add(int64(len(left)))
		t.Errorf("%d things are left to be done %v after the last fault: %v", len(left), patience, left)
	}
	w.verify(made, sum)
}
