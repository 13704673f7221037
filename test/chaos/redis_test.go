//go:build chaos

package chaos_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"
)

func (w *world) killRedis(rng *rand.Rand) []step {
	gone := between(rng, 0, 3*time.Second)
	return []step{{what: "kill -9 redis, back after " + gone.String(), do: func() {
		w.redis.Kill()
		pass(gone)
		w.redis.Restart()
		w.held = false
	}}}
}

func (w *world) holdRedis(rng *rand.Rand) []step {
	return spell(between(rng, 100*time.Millisecond, 6*time.Second), "SIGSTOP to redis", func() {
		w.redis.Signal(syscall.SIGSTOP)
		w.held = true
	}, w.letRedisGo)
}

func (w *world) letRedisGo() {
	w.redis.Signal(syscall.SIGCONT)
	w.held = false
}

// spoilWire has what passes between the agents and Redis come late, in part or never.
func (w *world) spoilWire(rng *rand.Rand) []step {
	x := w.wire.draw(rng)
	return spell(between(rng, 500*time.Millisecond, 6*time.Second), "redis behind "+x.String(), func() { w.wire.spoil(x) }, func() { w.wire.mend(x) })
}

// cutWire has no agent reach Redis.
func (w *world) cutWire(rng *rand.Rand) []step {
	return spell(between(rng, 10*time.Millisecond, 3*time.Second), "nobody reaches redis", func() { w.wire.cut(true) }, func() { w.wire.cut(false) })
}

// fillRedis has Redis refuse whatever would need memory.
func (w *world) fillRedis(rng *rand.Rand) []step {
	return spell(between(rng, 500*time.Millisecond, 5*time.Second), "redis is full", w.orders("CONFIG SET maxmemory 1"), w.orders("CONFIG SET maxmemory 0"))
}

// lockRedis has Redis refuse all writes: as a replica, whose master nobody finds, or as a master that lacks replicas.
func (w *world) lockRedis(rng *rand.Rand) []step {
	d := between(rng, 500*time.Millisecond, 5*time.Second)
	if rng.IntN(2) == 0 {
		return spell(d, "redis is a replica", w.orders("REPLICAOF 127.0.0.1 1"), w.orders("REPLICAOF NO ONE"))
	}
	return spell(d, "redis lacks replicas", w.orders("CONFIG SET min-replicas-to-write 1"), w.orders("CONFIG SET min-replicas-to-write 0"))
}

// ungroupRedis takes the consumer groups of all lines away, with all leases, as a restore from a copy of the streams does.
func (w *world) ungroupRedis(*rand.Rand) []step {
	return []step{{what: "redis loses its consumer groups", do: func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		lines := w.rdb.ScanType(ctx, 0, "{millrace}:queue:*", 1000, "stream").Iterator()
		for lines.Next(ctx) {
			if !strings.HasSuffix(lines.Val(), ":dead") {
				_ = w.order("XGROUP DESTROY " + lines.Val() + " workers") // It may have none yet.
			}
		}
	}}}
}

// healRedis undoes whatever was done to Redis, and to the way there.
func (w *world) healRedis() {
	ctx, cancel := patiently()
	defer cancel()
	w.letRedisGo()
	w.wire.heal()
	for _, words := range []string{"CONFIG SET maxmemory 0", "CONFIG SET min-replicas-to-write 0", "REPLICAOF NO ONE"} {
		for w.order(words) != nil {
			if ctx.Err() != nil {
				w.t.Fatalf("redis does not %s", words)
			}
			pass(20 * time.Millisecond)
		}
	}
}

func (w *world) orders(words string) func() { return func() { _ = w.order(words) } }

// order has Redis do something, by a connection that the wire has no part in. One that is held is not asked: it would do
// it when it goes on, however late that is.
func (w *world) order(words string) error {
	if w.held {
		w.note("redis is held, so not: %s", words)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var args []any
	for word := range strings.FieldsSeq(words) {
		args = append(args, word)
	}
	err := w.rdb.Do(ctx, args...).Err()
	if err != nil {
		w.note("%s: %v", words, err)
	}
	return err
}
