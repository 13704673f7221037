package logstest

import (
	"strings"

	"github.com/millrace-ci/millrace/agent/logs"
)

// forgets forgets a run of two attempts, of which one has a manifest and one is so long that it moves about: once when all
// have ended, when it is known what they hold, and once when the last is still open.
func forgets(b book) {
	other := b
	other.key.Run = "abcdefghij234567abcx"
	keys := []logs.Key{b.key, b.key, b.key, b.key}
	keys[1].Kind, keys[2].Attempt, keys[3].Attempt = logs.Manifest, 2, 3 // of the last there is nothing
	fill := func(ended int) (filled int) {
		for i, k := range keys[:3] {
			one, data := b, strings.Repeat("meal\n", 1+i*(b.max/12))
			one.key = k
			one.append(0, data)
			if filled += len(data); i < ended {
				one.end()
			}
		}
		return filled
	}
	other.append(0, "flour\n")
	other.end()
	b.holds(keys, fill(3))
	b.forgotten(keys)
	b.holds(keys, 0)
	fill(2)
	b.forgotten(keys)
	other.same("flour\n")
	if err := b.s.Forget(b.t.Context(), b.key.Run, nil); err != nil {
		b.t.Errorf("forget no logs: %v", err)
	}
}

// holds fails the test unless so much is kept of the logs of the run.
func (b book) holds(keys []logs.Key, want int) {
	b.t.Helper()
	if got, err := b.s.Size(b.t.Context(), b.key.Run, keys); err != nil || got != int64(want) {
		b.t.Errorf("the logs of the run hold %d bytes, %v; want %d", got, err, want)
	}
}

// forgotten forgets the run, and fails the test if something is left of it.
func (b book) forgotten(keys []logs.Key) {
	b.t.Helper()
	for range 2 { // as after a crash
		if err := b.s.Forget(b.t.Context(), b.key.Run, keys); err != nil {
			b.t.Fatalf("forget: %v", err)
		}
		for _, k := range keys {
			one := b
			one.key = k
			if c := one.read(0, 0); len(c.Data) > 0 || c.Ended {
				b.t.Errorf("of attempt %d %s there are %d bytes, ended %v; want nothing", k.Attempt, k.Kind, len(c.Data), c.Ended)
			}
		}
	}
}
