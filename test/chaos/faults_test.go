//go:build chaos

package chaos_test

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"syscall"
	"time"
)

// step is something that is done to the world at a time after the beginning of the disturbance.
type step struct {
	at   time.Duration
	what string
	do   func()
}

// fault draws one: what is done at once, and what is done when it is over.
type fault func(w *world, rng *rand.Rand) []step

// faults of every world.
var faults = []fault{
	(*world).killAgent, (*world).killAgent, (*world).killAgent, (*world).endAgent, (*world).holdAgent, (*world).holdAgent,
	(*world).killRedis, (*world).holdRedis, (*world).spoilWire, (*world).spoilWire, (*world).cutWire,
	(*world).fillRedis, (*world).lockRedis, (*world).ungroupRedis, (*world).failForge,
}

// schedule draws the faults of a round.
func (w *world) schedule(rng *rand.Rand) []step {
	all := w.upgrades(rng)
	from := append(slices.Clone(faults), w.ground.faults...)
	for range 5 + rng.IntN(6) {
		at := between(rng, 0, w.ground.disturbance)
		for _, s := range from[rng.IntN(len(from))](w, rng) {
			s.at += at
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b step) int { return int(a.at - b.at) })
	return all
}

// suffer does all of it in time, in the test's own goroutine.
func (w *world) suffer(steps []step) {
	begin := time.Now()
	for _, s := range steps {
		pass(s.at - time.Since(begin))
		w.note("%s", s.what)
		s.do()
	}
	pass(w.ground.disturbance - time.Since(begin))
}

// heal undoes what a fault may have left.
func (w *world) heal() {
	w.note("healed")
	w.ground.heal()
	w.healRedis()
	for _, a := range w.agents {
		a.signal(syscall.SIGCONT, 0)
	}
	for _, a := range w.agents {
		a.ready()
	}
}

// spell is a fault that is over after a time.
func spell(d time.Duration, what string, begin, end func()) []step {
	return []step{
		{what: what + " for " + d.String(), do: begin},
		{at: d, what: "over: " + what, do: end},
	}
}

func (w *world) someAgent(rng *rand.Rand) *agent { return w.agents[rng.IntN(len(w.agents))] }

func (w *world) killAgent(rng *rand.Rand) []step {
	a, rest := w.someAgent(rng), between(rng, 0, 4*time.Second)
	return []step{{what: "kill -9 " + a.name + ", back after " + rest.String(), do: func() {
		a.signal(syscall.SIGKILL, rest)
	}}}
}

// endAgent is what a cluster does that wants the agent elsewhere: SIGTERM, and the next one.
func (w *world) endAgent(rng *rand.Rand) []step {
	a := w.someAgent(rng)
	return []step{{what: "SIGTERM to " + a.name, do: func() { a.signal(syscall.SIGTERM, 0) }}}
}

// holdAgent holds an agent, half of the time past the end of its leases, and lets it go on: its late answers are refused.
func (w *world) holdAgent(rng *rand.Rand) []step {
	a := w.someAgent(rng)
	return spell(between(rng, 100*time.Millisecond, 20*time.Second), "SIGSTOP to "+a.name,
		func() { a.signal(syscall.SIGSTOP, 0) }, func() { a.signal(syscall.SIGCONT, 0) })
}

// upgrades replaces the agents of the previous version by this one, in turn.
func (w *world) upgrades(rng *rand.Rand) (all []step) {
	for _, a := range w.agents {
		if a.old {
			all = append(all, step{at: between(rng, time.Second, w.ground.disturbance), what: "upgrade of " + a.name, do: a.upgrade})
		}
	}
	return all
}

// failForge has the forge refuse, delay or lose the next answers of its API.
func (w *world) failForge(rng *rand.Rand) []step {
	n, how, late := 1+rng.IntN(8), rng.IntN(4), between(rng, 100*time.Millisecond, 3*time.Second)
	return []step{{what: "the forge's API fails", do: func() {
		switch how {
		case 0:
			w.forge.Fail(n, http.StatusServiceUnavailable, 0)
		case 1:
			w.forge.Fail(n, http.StatusTooManyRequests, 2*time.Second)
		case 2:
			w.forge.Slow(n, late)
		default:
			w.forge.Cut(n)
		}
	}}}
}

func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rng.Int64N(int64(to-from))).Truncate(time.Millisecond)
}
