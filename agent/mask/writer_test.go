package mask_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/agent/mask"
)

// write writes each of parts to w.
func write(t testing.TB, w io.Writer, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if n, err := io.WriteString(w, p); err != nil || n != len(p) {
			t.Fatalf("write %q: got %d, %v", p, n, err)
		}
	}
}

// TestWriterHoldsBack shows after each write what can no longer be a value, and everything behind a line feed.
func TestWriterHoldsBack(t *testing.T) {
	t.Parallel()
	m := newMasker(t, "sluice gate", "gate keeper", "uice")
	var out strings.Builder
	w := m.Writer(&out)
	for _, step := range []struct{ write, want string }{
		{"open.", "open."},
		{" slu", "open. "},
		{"", "open. "},
		{"ice", "open. "},
		{" door\n", "open. sl*** door\n"},
		{"slu\n", "open. sl*** door\nslu\n"},
		{"sluice gat", "open. sl*** door\nslu\n"},
		{"e", "open. sl*** door\nslu\n***"},
		{" keep", "open. sl*** door\nslu\n***"},
		{"er", "open. sl*** door\nslu\n***"},
		{"uice!", "open. sl*** door\nslu\n***!"},
		{"sluice", "open. sl*** door\nslu\n***!"},
	} {
		write(t, w, step.write)
		if got := out.String(); got != step.want {
			t.Fatalf("after %q: got %q, want %q", step.write, got, step.want)
		}
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := out.String(), "open. sl*** door\nslu\n***!sl***"; got != want {
		t.Errorf("closed: got %q, want %q", got, want)
	}
	if _, err := w.Write([]byte("late")); err == nil {
		t.Error("a closed Writer took a write")
	}
}

// TestWriterTakesLargeWrites masks across what it takes at once.
func TestWriterTakesLargeWrites(t *testing.T) {
	t.Parallel()
	m := newMasker(t, "sluice")
	for pad := 65536 - 7; pad < 65536+2; pad++ {
		grain := strings.Repeat("g", pad)
		if got, want := m.Text(grain+"sluice"+grain), grain+mask.Hidden+grain; got != want {
			t.Errorf("behind %d bytes: got %q", pad, strings.Trim(got, "g"))
		}
	}
}

func TestWriterMask(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	w := newMasker(t, "sluice").Writer(&out)
	if err := w.Mask("millstone", "hopper"); err != nil {
		t.Fatal(err)
	}
	write(t, w, "", "sluice millstone hop", "per\n")
	if err := w.Mask("flour"); !errors.Is(err, mask.ErrStarted) {
		t.Errorf("late: got %v, want %v", err, mask.ErrStarted)
	}
	if _, err := io.WriteString(w, "flour\n"); !errors.Is(err, mask.ErrStarted) {
		t.Errorf("write: got %v, want %v", err, mask.ErrStarted)
	}
	if err := w.Close(); !errors.Is(err, mask.ErrStarted) {
		t.Errorf("close: got %v, want %v", err, mask.ErrStarted)
	}
	if got, want := out.String(), "*** *** ***\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestWriterMaskRefused shows nothing once a value cannot be hidden, whoever minds the error.
func TestWriterMaskRefused(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	w := newMasker(t).Writer(&out)
	if err := w.Mask("abc"); !errors.Is(err, mask.ErrShort) {
		t.Errorf("got %v, want %v", err, mask.ErrShort)
	}
	if err := w.Mask("long enough"); !errors.Is(err, mask.ErrShort) {
		t.Errorf("again: got %v, want %v", err, mask.ErrShort)
	}
	if _, err := io.WriteString(w, "abc"); !errors.Is(err, mask.ErrShort) {
		t.Errorf("write: got %v, want %v", err, mask.ErrShort)
	}
	if out.Len() > 0 {
		t.Errorf("shows %q", out.String())
	}
}

// full is a writer that takes room bytes.
type full struct{ room int }

var errFull = errors.New("no space left")

func (f *full) Write(p []byte) (int, error) {
	if len(p) > f.room {
		return f.room, errFull
	}
	f.room -= len(p)
	return len(p), nil
}

func TestWriterFails(t *testing.T) {
	t.Parallel()
	w := newMasker(t, "sluice").Writer(&full{room: 70 << 10})
	for i, want := range []int{64 << 10, 0} {
		if n, err := w.Write(make([]byte, 100<<10)); n != want || !errors.Is(err, errFull) {
			t.Errorf("write %d: got %d, %v, want %d, %v", i, n, err, want, errFull)
		}
	}
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("close: got %v, want %v", err, errFull)
	}

	w = newMasker(t, "sluice").Writer(&full{})
	write(t, w, "slui")
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("close: got %v, want %v", err, errFull)
	}
}

// TestWriterShowsBetween hides a value twice where a write between them shows something.
func TestWriterShowsBetween(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	w := newMasker(t, "sluice").Writer(&out)
	write(t, w, "sluices", "\n", "sluice\n")
	if got, want := out.String(), "***s\n***\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLinesGoOn: what failed to be written once is lost, and nothing behind it; each write arrives masked and at once.
func TestLinesGoOn(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	f := &full{}
	w := newMasker(t, "sluice").Lines(io.MultiWriter(f, &out))
	if n, err := w.Write([]byte("the sluice\n")); n != 0 || !errors.Is(err, errFull) {
		t.Errorf("with no space: got %d, %v; want 0, %v", n, err, errFull)
	}
	f.room = 100
	write(t, w, "a sluice again\n", "and slui", "\n")
	if got, want := out.String(), "a *** again\nand slui\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
