package mask_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/agent/mask"
)

func BenchmarkMask1Secrets(b *testing.B)   { benchmarkMask(b, 1) }
func BenchmarkMask10Secrets(b *testing.B)  { benchmarkMask(b, 10) }
func BenchmarkMask100Secrets(b *testing.B) { benchmarkMask(b, 100) }

func BenchmarkReplacer1Secrets(b *testing.B)   { benchmarkReplacer(b, 1) }
func BenchmarkReplacer10Secrets(b *testing.B)  { benchmarkReplacer(b, 10) }
func BenchmarkReplacer100Secrets(b *testing.B) { benchmarkReplacer(b, 100) }

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

// benchmarkMask masks a log in writes of random sizes, after it has seen that nothing is missed in it.
func benchmarkMask(b *testing.B, n int) {
	values := secrets(n)
	m := newMasker(b, values...)
	log, want := logOf(b, values)
	if m.Text(log) != want {
		b.Fatal("the masked log is not as it should be")
	}
	w, r := m.Writer(io.Discard), rand.New(rand.NewPCG(1, 2))
	text := []byte(log)
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		for at := 0; at < len(log); {
			end := min(at+1+r.IntN(8<<10), len(log))
			if _, err := w.Write(text[at:end]); err != nil {
				b.Fatal(err)
			}
			at = end
		}
	}
	b.ReportMetric(float64(m.Size()), "trie-B")
}

// benchmarkReplacer is the peer: the standard library, given every form, line by line.
func benchmarkReplacer(b *testing.B, n int) {
	values := secrets(n)
	forms, err := mask.FormsOf(values)
	if err != nil {
		b.Fatal(err)
	}
	var pairs []string
	for _, form := range slices.Backward(forms) { // The longest of those that begin alike first.
		pairs = append(pairs, form, mask.Hidden)
	}
	log, _ := logOf(b, values)
	replacer := strings.NewReplacer(pairs...)
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		for line := range strings.Lines(log) {
			if _, err := replacer.WriteString(io.Discard, line); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// secrets returns n values of 40 bytes.
func secrets(n int) []string {
	r := rand.New(rand.NewPCG(3, 4))
	values := make([]string, n)
	for i := range values {
		raw := make([]byte, 28)
		for k := range raw {
			raw[k] = byte(r.Uint32())
		}
		values[i] = base64.StdEncoding.EncodeToString(raw)
	}
	return values
}

// logOf returns 4 MiB of a build's log, with a secret in one of its forms in one of fifty lines, and what of it may be
// shown.
func logOf(b *testing.B, values []string) (log, want string) {
	b.Helper()
	forms, err := mask.FormsOf(values)
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 6))
	var all, shown strings.Builder
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
	return all.String(), shown.String()
}
