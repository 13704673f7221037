package kube_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-ci/millrace/runners/kube"
	"github.com/millrace-ci/millrace/runners/runnertest"
)

var midnight = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// entry is a piece of a line as a container runtime writes it down.
type entry struct {
	at   time.Time
	text string
}

// served is what a kubelet makes of a container's log file (cri-client, ReadLogs): entries before since are left out, and
// the time stands before an entry that begins a line, or whose beginning is in another file.
func served(log []entry, since time.Time) string {
	var out strings.Builder
	newLine := true
	for _, e := range log {
		if !e.at.Before(since) {
			if newLine {
				out.WriteString(e.at.In(time.FixedZone("", 3600)).Format("2006-01-02T15:04:05.000000000Z07:00") + " ")
			}
			out.WriteString(e.text)
		}
		newLine = strings.HasSuffix(e.text, "\n")
	}
	return out.String()
}

// said is a log of these lines, a second apart.
func said(text ...string) []entry {
	var log []entry
	for i, line := range text {
		log = append(log, entry{midnight.Add(time.Duration(i) * time.Second), line})
	}
	return log
}

// read makes lines of a stream as a whole and returns their texts.
func read(t *testing.T, stream string) string {
	t.Helper()
	out, _ := kube.Read("task", time.Time{}, true, []byte(stream))
	var log runnertest.Log
	_, _ = log.Write(out)
	return log.Text(t, "task")
}

func TestLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		log  []entry
		want string
	}{
		{"nothing", nil, ""},
		{"lines", said("a\n", "b\n"), "a\nb\n"},
		{"the last line has no end", said("a\n", "b"), "a\nb\n"},
		{"empty lines", said("\n", "\n", "a\n"), "\n\na\n"},
		{"Windows line ends", said("a\r\n", "b\r\n"), "a\nb\n"},
		{"a progress bar", said("1%\r2%\r", "3%\rdone\n", "b\r"), "1%\n2%\n3%\ndone\nb\n"},
		{"no UTF-8", said("a\xff\xfeb\xe5\n"), "a\ufffdb\ufffd\n"},
		{"colours and blanks stay", said(" \x1b[31mred\x1b[0m \n"), " \x1b[31mred\x1b[0m \n"},
		{"a line in pieces", said("a", "b", "c\n", "d\n"), "abc\nd\n"},
		{"a time in the text", said("2026-11-23T00:00:00Z x\n"), "2026-11-23T00:00:00Z x\n"},
	} {
		if diff := cmp.Diff(c.want, read(t, served(c.log, time.Time{}))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	if got := read(t, "failed to open log file\n"); got != "failed to open log file\n" {
		t.Errorf("a node's own words: got %q", got)
	}
	for name, text := range map[string]string{
		"a long line": strings.Repeat("x", 1<<20), "long lines of runes": strings.Repeat("发", kube.MaxLine), "long nonsense": strings.Repeat("\xffa", kube.MaxLine),
	} {
		got := read(t, served(said(text+"\n", "end"), time.Time{}))
		if want := strings.ToValidUTF8(text, "\ufffd") + "end"; strings.ReplaceAll(got, "\n", "") != want || !strings.HasSuffix(got, "\nend\n") {
			t.Errorf("%s: got %d bytes, want all %d and the end on a line of its own", name, len(got), len(want))
		}
	}
}

func TestLinesHaveTimesOfTheirOwn(t *testing.T) {
	t.Parallel()
	at := midnight.Add(5)
	out, last := kube.Read("task", time.Time{}, true, []byte(served([]entry{{at, "a\n"}, {at, "a\n"}, {at.Add(-3), "b\rc\n"}, {at.Add(9), "d\n"}}, time.Time{})))
	var want strings.Builder
	for i, text := range []string{"a", "a", "b", "c"} {
		fmt.Fprintf(&want, "2026-11-23T00:00:00.%09dZ task %s\n", 5+i, text)
	}
	want.WriteString("2026-11-23T00:00:00.000000014Z task d\n")
	if diff := cmp.Diff(want.String(), string(out)); diff != "" || !last.Equal(at.Add(9)) {
		t.Errorf("last %s, lines (-want +got):\n%s", last, diff)
	}
}

func TestGap(t *testing.T) {
	t.Parallel()
	log := said("a\n", "b\n", "c\n", "d\n", "e\n")
	gap := "2026-11-23T00:00:01.000000001Z millrace [log gap: task: lines from 2026-11-23T00:00:01.000000000Z %s may be missing, " +
		"the node keeps only the newest part of a log%s]\n"
	for _, c := range []struct{ name, stream, want string }{
		{"none", served(log, kube.SinceOf(log[1].at)), "2026-11-23T00:00:02.000000000Z task c\n2026-11-23T00:00:03.000000000Z task d\n2026-11-23T00:00:04.000000000Z task e\n"},
		{"nothing new", served(log[:2], kube.SinceOf(log[1].at)), ""},
		{"rotated", served(log[3:], kube.SinceOf(log[1].at)), fmt.Sprintf(gap, "to 2026-11-23T00:00:03.000000000Z", "") +
			"2026-11-23T00:00:03.000000000Z task d\n2026-11-23T00:00:04.000000000Z task e\n"},
		{"all gone", "", fmt.Sprintf(gap, "to its end", "")},
		{"not given out", "unable to retrieve container logs for containerd://1", fmt.Sprintf(gap, "to its end", ": unable to retrieve container logs for containerd://1")},
	} {
		out, _ := kube.Read("task", log[1].at, true, []byte(c.stream))
		if diff := cmp.Diff(c.want, string(out)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// FuzzLines holds that a log comes out the same, each line once and none lost, however often its stream breaks off, in
// however small pieces it comes, and whatever a runtime's clock does within a second.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nbb\n\nlong line that goes on\r\nprogress\rbar\n\xff\xe5no end"), []byte{1, 200, 7, 0, 90}, uint16(10), uint8(3))
	f.Add([]byte("same\nsame\nsame\nsame\n"), []byte{0}, uint16(40), uint8(200))
	f.Add(bytes.Repeat([]byte("0123456789abcdef"), 20), []byte{255, 1, 128}, uint16(77), uint8(1))
	f.Add([]byte("aaa\nbbb\nccc\n"), []byte{228, 60, 60}, uint16(40), uint8(255)) // The clock goes back into the second before.
	f.Fuzz(func(t *testing.T, content, clock []byte, cut uint16, size uint8) {
		log := written(content, clock)
		want, _ := kube.Read("task", time.Time{}, true, []byte(served(log, time.Time{})))
		var got []byte
		var last time.Time
		for range 4 { // Streams that break off, then one that does not.
			stream := served(log, since(last))
			var out []byte
			out, last = kube.Read("task", last, false, pieces(stream[:min(len(stream), int(cut))], size)...)
			got = append(got, out...)
		}
		rest, _ := kube.Read("task", last, true, pieces(served(log, since(last)), size)...)
		if diff := cmp.Diff(string(want), string(append(got, rest...))); diff != "" {
			t.Fatalf("log (-whole +resumed):\n%s", diff)
		}
		var checked runnertest.Log
		_, _ = checked.Write(want)
		checked.Text(t, "task")
	})
}

func since(last time.Time) time.Time {
	if last.IsZero() {
		return last
	}
	return kube.SinceOf(last)
}

// written is a log of this content: in entries of at most 16 bytes, with a clock that goes forth, stands, and goes back by
// less than a second.
func written(content, clock []byte) []entry {
	var log []entry
	newest := midnight
	for i := 0; len(content) > 0; i++ {
		n := min(16, len(content))
		if end := bytes.IndexByte(content[:n], '\n'); end >= 0 {
			n = end + 1
		}
		at := newest
		if len(clock) > 0 {
			switch step := clock[i%len(clock)]; {
			case step < 64:
				at = newest.Add(-time.Duration(step) * 15 * time.Millisecond)
			case step >= 128:
				newest = newest.Add(time.Duration(step-128) * 10 * time.Millisecond)
				at = newest
			}
		}
		log = append(log, entry{at, string(content[:n])})
		content = content[n:]
	}
	return log
}

func pieces(stream string, size uint8) [][]byte {
	var all [][]byte
	for rest := []byte(stream); len(rest) > 0; {
		n := min(len(rest), int(size)+1)
		all, rest = append(all, rest[:n]), rest[n:]
	}
	return all
}
