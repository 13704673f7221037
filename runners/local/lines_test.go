package local_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-ci/millrace/runners/local"
	"github.com/millrace-ci/millrace/runners/runnertest"
)

const mark = "2026-11-23T01:02:03.000000004Z task "

func clock() time.Time { return time.Date(2026, 11, 23, 2, 2, 3, 4, time.FixedZone("", 3600)) }

// logged is the log of pieces of output, without what stands before each text.
func logged(t *testing.T, pieces ...string) string {
	t.Helper()
	var log runnertest.Log
	var raw [][]byte
	for _, p := range pieces {
		raw = append(raw, []byte(p))
	}
	if err := local.Lines(&log, 1<<20, clock, raw...); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(append(log.Bytes(), mark...), []byte(mark)) {
		t.Fatalf("log: got %q, want it to begin with %q", log.Bytes(), mark)
	}
	return log.Text(t, "task")
}

func TestLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*local.MaxLine)
	for _, c := range []struct {
		name   string
		pieces []string
		want   string
	}{
		{"nothing", nil, ""},
		{"a line in pieces", []string{"a", "b", "\nc", "\n"}, "ab\nc\n"},
		{"the last line has no end", []string{"a\nb"}, "a\nb\n"},
		{"empty lines", []string{"\n\na\n"}, "\n\na\n"},
		{"Windows line ends, also apart", []string{"a\r\nb\r", "\nc\r\n"}, "a\nb\nc\n"},
		{"a progress bar", []string{"1%\r2%\r", "3%\rdone\n"}, "1%\n2%\n3%\ndone\n"},
		{"a rune in pieces", []string{"\xe5", "\x8f\x91\n"}, "发\n"},
		{"no UTF-8", []string{"a\xff\xfeb\xe5\n"}, "a\ufffdb\ufffd\n"},
		{"colours stay", []string{"\x1b[31mred\x1b[0m\n"}, "\x1b[31mred\x1b[0m\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, logged(t, c.pieces...)); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
	for name, text := range map[string]string{"a long line": long, "long lines of runes": strings.Repeat("发", local.MaxLine), "long nonsense": strings.Repeat("\xffa", local.MaxLine)} {
		got := logged(t, text+"\n", "end")
		if want := strings.ToValidUTF8(text, "\ufffd") + "end"; strings.ReplaceAll(got, "\n", "") != want || !strings.HasSuffix(got, "\nend\n") {
			t.Errorf("%s: got %d bytes in lines, want all %d and the end on a line of its own", name, len(got), len(want))
		}
	}
}

func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	var log runnertest.Log
	line := []byte(strings.Repeat("x", 99) + "\n")
	pieces := make([][]byte, 1000)
	for i := range pieces {
		pieces[i] = line
	}
	if err := local.Lines(&log, 10_000, clock, pieces...); err != nil {
		t.Fatal(err)
	}
	got := log.Text(t, "task")
	if size := len(log.Bytes()); size > 10_300 || size < 9_000 || strings.Count(got, "is not kept") != 1 || !strings.HasSuffix(got, "is not kept]\n") {
		t.Errorf("log: got %d bytes that end with %q, want about 10000 and one line that says so", size, got[len(got)-200:])
	}
}

type fullDisk struct{}

var errFull = errors.New("no space left")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestLogCannotBeWritten(t *testing.T) {
	t.Parallel()
	if err := local.Lines(fullDisk{}, 1000, clock, []byte("a\n"), []byte("b\n")); !errors.Is(err, errFull) {
		t.Errorf("got error %v, want %v", err, errFull)
	}
}

// filling is a disk that has room for some bytes, and then again when somebody has made room after one failure.
type filling struct {
	log  runnertest.Log
	room int
	full bool
}

func (f *filling) Write(p []byte) (int, error) {
	if f.full || len(p) <= f.room {
		f.room -= len(p)
		return f.log.Write(p)
	}
	f.full = true
	n, _ := f.log.Write(p[:f.room])
	return n, errFull
}

func TestCutLogIsSound(t *testing.T) {
	t.Parallel()
	for room := range 2*len(mark+"a\n") + 1 {
		disk := filling{room: room}
		if err := local.Lines(&disk, 1000, clock, []byte("a\nb\nc\n"), []byte("d\n")); !errors.Is(err, errFull) {
			t.Errorf("room for %d bytes: got error %v, want %v", room, err, errFull)
		}
		got := disk.log.Text(t, "task")
		said, note, _ := strings.Cut(got, "[")
		if !strings.HasPrefix("a\nb\nc\n", said) || said == "" || note != "the log could not be written: no space left: what followed is missing]\n" {
			t.Errorf("room for %d bytes: got %q, want whole lines of a, b, c and one that says so", room, got)
		}
	}
}

// FuzzLines holds that however the output is cut into pieces, the log is sound and the same but for where a long line goes on.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\r\nb\rc\n\xff"), uint8(3))
	f.Add([]byte("发布\x1b[31m\n\n\r\r\n"), uint8(1))
	f.Add(bytes.Repeat([]byte("\xff\xc3"), 100), uint8(7))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		var pieces []string
		for rest := string(data); rest != ""; {
			n := min(len(rest), int(size)+1)
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		whole := logged(t, string(data))
		if got := logged(t, pieces...); len(data) < 10_000 && got != whole {
			t.Fatalf("log: got %q from pieces, want %q", got, whole)
		}
	})
}
