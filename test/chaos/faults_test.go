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

// kinds of fault: each returns what is done at once, and what is done when it is over.
var kinds = []func(w *world, rng *rand.Rand) []step{
	(*world).killAgent, (*world).killAgent, (*world).endAgent, (*world).holdAgent, (*world).holdAgent,
	(*world).killRedis, (*world).holdRedis, (*world).failForge,
}

// schedule draws the faults of a round.
func (w *world) schedule(rng *rand.Rand) []step {
	var all []step
	for range 4 + rng.IntN(5) {
		at := between(rng, 0, disturbance)
		for _, s := range kinds[rng.IntN(len(kinds))](w, rng) {
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
	pass(disturbance - time.Since(begin))
}

// heal undoes what a fault may have left.
func (w *world) heal() {
	w.note("healed")
	w.redis.Signal(syscall.SIGCONT)
	for _, a := range w.agents {
		a.signal(syscall.SIGCONT, 0)
	}
	for _, a := range w.agents {
		a.ready()
	}
}

func (w *world) someAgent(rng *rand.Rand) *agent { return w.agents[rng.IntN(len(w.agents))] }

func (w *world) killAgent(rng *rand.Rand) []step {
	a, rest := w.someAgent(rng), between(rng, 0, 4*time.Second)
	return []step{{what: "kill -9 " + a.name + ", back after " + rest.String(), do: func() {
		a.signal(syscall.SIGKILL, rest)
	}}}
}

// endAgent is an upgrade: SIGTERM, and the next one.
func (w *world) endAgent(rng *rand.Rand) []step {
	a := w.someAgent(rng)
	return []step{{what: "SIGTERM to " + a.name, do: func() { a.signal(syscall.SIGTERM, 0) }}}
}

// holdAgent holds an agent, half of the time past the end of its leases, and lets it go on: its late answers are refused.
func (w *world) holdAgent(rng *rand.Rand) []step {
	a, hold := w.someAgent(rng), between(rng, 100*time.Millisecond, 20*time.Second)
	return []step{
		{what: "SIGSTOP to " + a.name + " for " + hold.String(), do: func() { a.signal(syscall.SIGSTOP, 0) }},
		{at: hold, what: "SIGCONT to " + a.name, do: func() { a.signal(syscall.SIGCONT, 0) }},
	}
}

func (w *world) killRedis(rng *rand.Rand) []step {
	gone := between(rng, 0, 3*time.Second)
	return []step{{what: "kill -9 redis, back after " + gone.String(), do: func() {
		w.redis.Kill()
		pass(gone)
		w.redis.Restart()
	}}}
}

func (w *world) holdRedis(rng *rand.Rand) []step {
	hold := between(rng, 100*time.Millisecond, 6*time.Second)
	return []step{
		{what: "SIGSTOP to redis for " + hold.String(), do: func() { w.redis.Signal(syscall.SIGSTOP) }},
		{at: hold, what: "SIGCONT to redis", do: func() { w.redis.Signal(syscall.SIGCONT) }},
	}
}

// failForge has the forge refuse, delay or lose the next answers of its API.
func (w *world) failForge(rng *rand.Rand) []step {
	n := 1 + rng.IntN(8)
	return []step{{what: "the forge's API fails", do: func() {
		switch rng.IntN(4) {
		case 0:
			w.forge.Fail(n, http.StatusServiceUnavailable, 0)
		case 1:
			w.forge.Fail(n, http.StatusTooManyRequests, 2*time.Second)
		case 2:
			w.forge.Slow(n, between(rng, 100*time.Millisecond, 3*time.Second))
		default:
			w.forge.Cut(n)
		}
	}}}
}

func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rng.Int64N(int64(to-from))).Truncate(time.Millisecond)
}
