package logstest

import (
	"strings"

	"github.com/millrace-ci/millrace/agent/logs"
)

// forgets forgets a run of two attempts, of which one has a manifest and one is so long that it moves about, and may still
// be open.
func forgets(b book) {
	other := b
	other.key.Run = "abcdefghij234567abcx"
	keys := []logs.Key{b.key, b.key, b.key, b.key}
	keys[1].Kind, keys[2].Attempt, keys[3].Attempt = logs.Manifest, 2, 3 // of the last there is nothing
	fill := func() {
		for i, k := range keys[:3] {
			one := b
			one.key = k
			one.append(0, strings.Repeat("meal\n", 1+i*(b.max/12)))
			if i < 2 {
				one.end()
			}
		}
	}
	other.append(0, "flour\n")
	other.end()
	fill()
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
	other.same("flour\n")
	if err := b.s.Forget(b.t.Context(), b.key.Run, nil); err != nil {
		b.t.Errorf("forget no logs: %v", err)
	}
}
