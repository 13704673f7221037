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
	rounds   = flag.Int("rounds", 20, "how many rounds")
	seed     = flag.Uint64("seed", 0, "seed of the first round, those after it count on; 0: of the clock")
	together = flag.Int("together", 4, "rounds that run at a time")
)

// How long a round is disturbed, and how long it may take afterwards until nothing is left to be done.
const (
	disturbance = 12 * time.Second
	patience    = 2 * time.Minute
)

// TestChaos lets each round happen in a world of its own, and adds up what was found.
func TestChaos(t *testing.T) {
	first := *seed
	if first == 0 {
		first = uint64(time.Now().UnixNano()) % 1_000_000
	}
	var sum tally
	t.Run("rounds", func(t *testing.T) {
		places := make(chan struct{}, *together)
		for i := range *rounds {
			n := first + uint64(i)
			t.Run(fmt.Sprintf("seed-%d", n), func(t *testing.T) {
				t.Parallel()
				places <- struct{}{}
				defer func() { <-places }()
				round(t, n, &sum)
			})
		}
	})
	t.Logf("seeds %d to %d: %s", first, first+uint64(*rounds)-1, &sum)
}

// round is one round: pushes and faults, then the healing, then the look.
func round(t *testing.T, seed uint64, sum *tally) {
	w := newWorld(t, seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	faults := w.schedule(rng)
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
	if t.Failed() {
		t.Logf("what was done:\n%s", w.story())
	}
}
