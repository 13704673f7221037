// Package logstest holds the laws that any logs keep. The tests of redislogs, bloblogs and memlogs call it; it calls only
// the contract. It looks into no implementation.
package logstest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
)

// limit bounds every step that waits, whatever the machine does.
const limit = 30 * time.Second

// Run tests the logs that open makes against the laws. open returns logs of which there are none yet, and which may have
// maxSize bytes each.
func Run(t *testing.T, maxSize int, open func(t *testing.T) logs.Logs) {
	laws := []struct {
		name string
		law  func(book)
	}{
		{"a log is read as it was written", roundTrip},
		{"appending again adds nothing twice", appendsOnce},
		{"an overlap is left out", leavesOutOverlap},
		{"a gap is refused", refusesGap},
		{"a negative offset is refused", refusesNegative},
		{"two who append the same bytes write one log", racersAgree},
		{"a log that never was is empty and not ended", neverWas},
		{"attempts and kinds have logs of their own", keysDiffer},
		{"the last line is where a writer goes on", lastLine},
		{"a line that is too long is no last line", lastLineIsBounded},
		{"the last line is known after the end", lastLineAfterEnd},
		{"an ended log says so", saysEnded},
		{"nothing comes after the end", nothingAfterEnd},
		{"a reader who waits is told at once", wakes},
		{"a reader who waits is told of the end", wakesAtEnd},
		{"a reader beyond the end waits for what lies there", waitsBeyond},
		{"a reader waits no longer than it says", waitEnds},
		{"a reader who waits ends with its context", waitEndsWithContext},
		{"many may wait", manyWait},
		{"a log that is too long says so once", dropsWhatIsTooMuch},
		{"the logs of a run are forgotten, and no others", forgets},
	}
	for _, l := range laws {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.law(book{t, open(t), logs.Key{Run: "abcdefghij234567abcd", Task: "unit", Attempt: 1}, maxSize})
		})
	}
}

// book is one log under test whose steps must succeed.
type book struct {
	t   *testing.T
	s   logs.Logs
	key logs.Key
	max int
}

func (b book) append(offset int, data string) {
	b.t.Helper()
	if err := b.s.Append(b.t.Context(), b.key, int64(offset), []byte(data)); err != nil {
		b.t.Fatalf("append %d bytes at %d: %v", len(data), offset, err)
	}
}

func (b book) end() {
	b.t.Helper()
	if err := b.s.End(b.t.Context(), b.key); err != nil {
		b.t.Fatalf("end: %v", err)
	}
}

func (b book) read(offset int, wait time.Duration) logs.Chunk {
	b.t.Helper()
	c, err := b.s.Read(b.t.Context(), b.key, int64(offset), wait)
	if err != nil {
		b.t.Fatalf("read at %d: %v", offset, err)
	}
	if c.Next != int64(offset+len(c.Data)) || len(c.Data) > 256<<10 {
		b.t.Fatalf("read at %d: got %d bytes, and next %d", offset, len(c.Data), c.Next)
	}
	return c
}

// all reads the log from offset on, as far as there is something.
func (b book) all(offset int) string {
	b.t.Helper()
	var got strings.Builder
	for c := b.read(offset, 0); len(c.Data) > 0; c = b.read(int(c.Next), 0) {
		got.Write(c.Data)
	}
	return got.String()
}

// same fails the test unless the log reads want.
func (b book) same(want string) {
	b.t.Helper()
	if got := b.all(0); got != want {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		b.t.Errorf("got %d bytes, want %d; they differ at %d: got %.40q, want %.40q", len(got), len(want), at, got[at:], want[at:])
	}
}

// noise is n bytes of which no two places look alike; they are no text.
func noise(n int) string {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	return string(data)
}

func roundTrip(b book) {
	want := noise(1 << 20)
	for at := 0; at < len(want); {
		n := min(rand.IntN(100_000), len(want)-at) // sometimes more than an entry may hold
		b.append(at, want[at:at+n])
		at += n
	}
	b.same(want)
	for range 20 {
		at := rand.IntN(len(want))
		if got := b.all(at); got != want[at:] {
			b.t.Errorf("from %d: got %d bytes that differ from the %d wanted", at, len(got), len(want)-at)
		}
	}
}

func appendsOnce(b book) {
	want := noise(200_000)
	b.append(0, want)
	b.append(0, want)
	for at := 0; at < len(want); at += 777 {
		b.append(at, want[at:min(at+777, len(want))])
	}
	b.append(len(want), "")
	b.same(want)
}

func leavesOutOverlap(b book) {
	b.append(0, "one two ")
	b.append(4, "two three ")
	b.append(0, "one two three four")
	b.same("one two three four")
}

func refusesGap(b book) {
	gap := func(at int) {
		b.t.Helper()
		if err := b.s.Append(b.t.Context(), b.key, int64(at), []byte("lost")); !errors.Is(err, logs.ErrGap) {
			b.t.Errorf("append at %d: got %v, want %v", at, err, logs.ErrGap)
		}
	}
	gap(1)
	b.append(0, "12345")
	gap(6)
	gap(b.max + 1)
	b.append(5, "67")
	b.same("1234567")
}

func refusesNegative(b book) {
	if err := b.s.Append(b.t.Context(), b.key, -1, []byte("xy")); err == nil {
		b.t.Error("append at -1: got no error")
	}
	if _, err := b.s.Read(b.t.Context(), b.key, -1, 0); err == nil {
		b.t.Error("read at -1: got no error")
	}
}

func racersAgree(b book) {
	want := noise(300_000)
	var all sync.WaitGroup
	for racer := range 4 {
		all.Go(func() {
			step := 1000 + 3333*racer
			for at := 0; at < len(want); at += step {
				b.append(at, want[at:min(at+step, len(want))])
			}
		})
	}
	all.Wait()
	b.same(want)
}

func neverWas(b book) {
	if c := b.read(0, 0); len(c.Data) > 0 || c.Ended {
		b.t.Errorf("got %d bytes, ended %v, want none and not ended", len(c.Data), c.Ended)
	}
	b.same("")
}

func keysDiffer(b book) {
	second, other, manifest, evidence := b, b, b, b
	second.key.Attempt, other.key.Task = 2, "lint"
	manifest.key.Kind, evidence.key.Kind = logs.Manifest, logs.Evidence
	all := map[string]book{"first": b, "second": second, "other": other, "manifest": manifest, "evidence": evidence}
	for text, one := range all {
		one.append(0, text)
	}
	other.end()
	manifest.end()
	for text, one := range all {
		one.same(text)
	}
	if b.read(5, 0).Ended {
		b.t.Error("the end of another log ended this one")
	}
}

func saysEnded(b book) {
	b.append(0, "all of it")
	if b.read(0, 0).Ended {
		b.t.Error("before the end: got ended")
	}
	b.end()
	b.end() // ending twice is ending once
	for _, at := range []int{0, 3, 9, 10, 1 << 40} {
		c := b.read(at, limit)
		if want := "all of it"[min(at, 9):]; string(c.Data) != want || !c.Ended {
			b.t.Errorf("at %d: got %q, ended %v, want %q and ended", at, c.Data, c.Ended, want)
		}
	}
	empty := b
	empty.key.Task = "silent"
	empty.end()
	if c := empty.read(0, limit); len(c.Data) > 0 || !c.Ended {
		b.t.Errorf("a log without a byte: got %q, ended %v, want ended", c.Data, c.Ended)
	}
}

func nothingAfterEnd(b book) {
	b.append(0, "done\n")
	b.end()
	b.append(0, "done\nand more\n")
	b.append(5, "and more\n")
	b.append(100, "and more\n")
	b.same("done\n")
}

// dropsWhatIsTooMuch writes 1 MiB too much, then all of it again in other pieces.
func dropsWhatIsTooMuch(b book) {
	want := noise(b.max + 1<<20)
	b.append(0, want[:b.max])
	if got := len(b.all(0)); got != b.max {
		b.t.Fatalf("a log that is just not too long: got %d bytes, want %d", got, b.max)
	}
	b.append(b.max, want[b.max:])
	first := b.all(0)
	for at := 0; at < len(want); at += 999_999 {
		b.append(at, want[at:min(at+999_999, len(want))])
	}
	b.append(len(want)+5000, "far away")
	b.same(first)
	if first[:b.max] != want[:b.max] {
		b.t.Error("what the log has room for came back changed")
	}
	if last := first[b.max:]; !strings.HasPrefix(last, "\n") || strings.Count(last, "\n") != 2 || !strings.Contains(last, strconv.Itoa(b.max>>20)+" MiB") {
		b.t.Errorf("the log ends with %q, want a line that says what was dropped", last)
	}
	b.end()
	if c := b.read(len(first), limit); !c.Ended {
		b.t.Error("the end of a log that was too long is not told")
	}
}

// Replay plays a log to s as choices say, and checks it against a model: appends of splits of one text from any offset,
// in order or not. Fuzz targets call it.
func Replay(t *testing.T, s logs.Logs, k logs.Key, choices []byte) {
	t.Helper()
	text := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz\n"), 20)
	b := book{t: t, s: s, key: k}
	have, ended := 0, false
	for len(choices) >= 3 {
		at, n := (int(choices[0])<<8|int(choices[1]))%len(text), int(choices[2])
		choices = choices[3:]
		if n == 255 {
			b.end()
			ended = true
			continue
		}
		stop := min(at+n, len(text))
		err := s.Append(context.Background(), k, int64(at), text[at:stop])
		gap := !ended && at > have
		if errors.Is(err, logs.ErrGap) != gap || err != nil && !gap {
			t.Fatalf("append %d to %d of a log of %d: got %v, want a gap: %v", at, stop, have, err, gap)
		}
		if !ended && !gap {
			have = max(have, stop)
		}
	}
	for at := 0; at <= have; at += 41 {
		if got, want := b.all(at), string(text[at:have]); got != want {
			t.Fatalf("from %d: got %q, want %q", at, got, want)
		}
	}
	b.last(have, logs.LastLine(text[:have], true))
	if c := b.read(have, 0); c.Ended != ended {
		t.Fatalf("got ended %v, want %v", c.Ended, ended)
	}
}
