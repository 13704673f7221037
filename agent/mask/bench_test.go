package mask_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-ci/millrace/agent/mask"
)

// BenchmarkMask masks 200 MB of a build's log that comes in writes of random sizes, and beside it lets the standard
// library do what it can: replace every form, line by line. Both fail if what comes out is not what may be shown, so
// also when a value is missed. Beside the time on the clock it tells the processor's: machines are shared.
func BenchmarkMask(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		values := secrets(n)
		log, want := logOf(b, values)
		b.Run(fmt.Sprintf("%dsecrets/mask", n), func(b *testing.B) {
			m, r := newMasker(b, values...), rand.New(rand.NewPCG(1, 2))
			masking(b, want, func(to io.Writer) {
				w := m.Writer(to)
				for range passes {
					for at := 0; at < len(log); {
						end := min(at+1+r.IntN(8<<10), len(log))
						if _, err := w.Write(log[at:end]); err != nil {
							b.Fatal(err)
						}
						at = end
					}
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			})
			b.ReportMetric(float64(m.Size()), "dict-B")
		})
		b.Run(fmt.Sprintf("%dsecrets/replacer", n), func(b *testing.B) {
			replacer := replacerOf(b, values)
			masking(b, want, func(to io.Writer) {
				for range passes {
					for line := range strings.Lines(string(log)) {
						if _, err := replacer.WriteString(to, line); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		})
	}
}

// passes is how often a log of 4 MiB makes 200 MB.
const passes = 50

// masking times mask, which writes what it makes of the log, passes times.
func masking(b *testing.B, want []byte, mask func(to io.Writer)) {
	b.SetBytes(passes * 4 << 20)
	b.ReportAllocs()
	before := processor(b)
	for b.Loop() {
		out := &wanted{want: want}
		if mask(out); out.wrong || out.at != passes*len(want) {
			b.Fatalf("what comes out is wrong: %v, after %d bytes", out.wrong, out.at)
		}
	}
	b.ReportMetric(float64(b.N*passes*4<<20)/1e6/(processor(b)-before), "MB/cpu-s")
}

// processor is the processor's time that this process has used, in seconds.
func processor(b *testing.B) float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// wanted is a writer that wants the same text again and again.
type wanted struct {
	want  []byte
	at    int
	wrong bool
}

func (w *wanted) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		want := w.want[w.at%len(w.want):]
		n := min(len(want), len(rest))
		w.wrong = w.wrong || !bytes.Equal(want[:n], rest[:n])
		w.at, rest = w.at+n, rest[n:]
	}
	return len(p), nil
}

// WriteString is what a strings.Replacer looks for.
func (w *wanted) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// replacerOf replaces every form of values.
func replacerOf(b *testing.B, values []string) *strings.Replacer {
	var pairs []string
	for _, form := range slices.Backward(wholeForms(b, values)) { // The longest of those that begin alike first.
		pairs = append(pairs, form, mask.Hidden)
	}
	return strings.NewReplacer(pairs...)
}

func wholeForms(b *testing.B, values []string) []string {
	b.Helper()
	forms, err := mask.WholeFormsOf(values)
	if err != nil {
		b.Fatal(err)
	}
	return forms
}

// BenchmarkMaskNothingElse masks a log that nearly is secrets alone, each cut short.
func BenchmarkMaskNothingElse(b *testing.B) {
	values := secrets(100)
	var log bytes.Buffer
	for log.Len() < 1<<20 {
		for _, v := range values {
			log.WriteString(v[:len(v)-1])
		}
	}
	m := newMasker(b, values...)
	b.SetBytes(int64(log.Len()))
	for b.Loop() {
		if _, err := m.Writer(io.Discard).Write(log.Bytes()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMaskHardest masks a log in which a form nearly begins at each byte.
func BenchmarkMaskHardest(b *testing.B) {
	log := bytes.Repeat([]byte("a"), 1<<20)
	m := newMasker(b, append(secrets(100), strings.Repeat("a", 60)+"b")...)
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		if _, err := m.Writer(io.Discard).Write(log); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNew makes maskers. B/op is all that making one takes, dict-B what is kept then. It fails where that is more
// than the bound that New states.
func BenchmarkNew(b *testing.B) {
	for name, c := range map[string]struct {
		values []string
		bound  int
	}{
		"2tokens":       {secrets(2), 8 << 10},
		"100ordinary":   {ordinary(), 4 << 20},
		"256KiBinLines": {[]string{large()}, mask.MaxForms * 5 / 4},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				if size = newMasker(b, c.values...).Size(); size > c.bound {
					b.Fatalf("takes %d bytes, want at most %d", size, c.bound)
				}
			}
			b.ReportMetric(float64(size), "dict-B")
		})
	}
}

// random returns n random bytes.
func random(r *rand.Rand, n int) []byte {
	raw := make([]byte, n)
	for i := range raw {
		raw[i] = byte(r.Uint32())
	}
	return raw
}

// secrets returns n values of 40 bytes.
func secrets(n int) []string {
	r := rand.New(rand.NewPCG(3, 4))
	values := make([]string, n)
	for i := range values {
		values[i] = base64.StdEncoding.EncodeToString(random(r, 28))
	}
	return values
}

// inLines returns n random bytes as base64 in lines.
func inLines(r *rand.Rand, n int) string {
	var b strings.Builder
	for text := base64.StdEncoding.EncodeToString(random(r, n)); text != ""; {
		line := min(64, len(text))
		b.WriteString(text[:line] + "\n")
		text = text[line:]
	}
	return b.String()
}

// ordinary returns what a hundred secrets of a large team are: 70 tokens, 15 keys of 2048 bits, 10 kubeconfigs with a
// certificate, and 5 credentials for a registry.
func ordinary() []string {
	r := rand.New(rand.NewPCG(7, 8))
	values := secrets(70)
	for range 15 {
		values = append(values, "-----BEGIN PRIVATE KEY-----\n"+inLines(r, 1218)+"-----END PRIVATE KEY-----\n")
	}
	for range 10 {
		blob := func(n int) string { return base64.StdEncoding.EncodeToString([]byte(inLines(r, n))) }
		values = append(values, fmt.Sprintf(kubeconfig, blob(800), blob(800), blob(1200)))
	}
	for range 5 {
		auth := base64.StdEncoding.EncodeToString([]byte("robot$ci:" + base64.StdEncoding.EncodeToString(random(r, 24))))
		values = append(values, fmt.Sprintf(`{"auths":{"harbor.example.com":{"username":"robot$ci","auth":%q}}}`, auth))
	}
	return values
}

// large returns the largest value in lines.
func large() string {
	return inLines(rand.New(rand.NewPCG(9, 10)), mask.MaxValues*3/4)[:mask.MaxValues]
}

// logOf returns 4 MiB of a build's log, with a secret in one of its forms in one of fifty lines, and what of it may be
// shown.
func logOf(b *testing.B, values []string) (log, want []byte) {
	b.Helper()
	forms := wholeForms(b, values)
	r := rand.New(rand.NewPCG(5, 6))
	var all, shown bytes.Buffer
	for i := 0; all.Len() < 4<<20; i++ {
		line := fmt.Sprintf("2026-11-23T03:14:15.%09dZ main go: downloading github.com/millrace-ci/module%d v1.%d.0 (sha256:%016x%016x)\n",
			r.IntN(1e9), r.IntN(1000), r.IntN(100), r.Uint64(), r.Uint64())
		all.WriteString(line)
		shown.WriteString(line)
		if i%50 == 0 {
			fmt.Fprintf(&all, "logs in with [%s]\n", forms[r.IntN(len(forms))])
			fmt.Fprintf(&shown, "logs in with [%s]\n", mask.Hidden)
		}
	}
	return all.Bytes(), shown.Bytes()
}
