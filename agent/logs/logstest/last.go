package logstest

import (
	"strings"

	"github.com/millrace-ci/millrace/agent/logs"
)

// last fails the test unless the log has that size and that last line.
func (b book) last(size int, line string) {
	b.t.Helper()
	gotSize, gotLine, err := b.s.Last(b.t.Context(), b.key)
	if err != nil || gotSize != int64(size) || gotLine != line {
		b.t.Errorf("last: got %d, %.40q (%d bytes), %v, want %d, %.40q (%d bytes)", gotSize, gotLine, len(gotLine), err, size, line, len(line))
	}
}

func lastLine(b book) {
	b.last(0, "")
	at := 0
	for _, step := range []struct{ add, want string }{
		{"one", ""},
		{" line", ""},
		{"\n", "one line\n"},
		{"two\nthr", "two\n"},
		{"ee\n\n", "\n"},
		{strings.Repeat("x", 100_000), "\n"},
		{"\n", strings.Repeat("x", 100_000) + "\n"},
		{"end\n", "end\n"},
	} {
		b.append(at, step.add)
		at += len(step.add)
		b.last(at, step.want)
	}
	b.same("one line\ntwo\nthree\n\n" + strings.Repeat("x", 100_000) + "\nend\n")
}

func lastLineIsBounded(b book) {
	longest := strings.Repeat("x", logs.MaxLine-2) + "\n"
	b.append(0, "\n"+longest)
	b.last(1+len(longest), longest)
	second := b
	second.key.Attempt = 2
	second.append(0, "\n"+longest+"y")
	second.last(2+len(longest), "")
	alone := b
	alone.key.Attempt = 3
	alone.append(0, "x"+longest)
	alone.last(1+len(longest), "x"+longest)
}

func lastLineAfterEnd(b book) {
	text := strings.Repeat(noise(1000)+"\n", 1000) + "last\nrest"
	b.append(0, text)
	b.end()
	b.last(len(text), "last\n")
	empty := b
	empty.key.Task = "silent"
	empty.end()
	empty.last(0, "")
}
