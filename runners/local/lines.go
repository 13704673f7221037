package local

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/millrace-ci/millrace/agent/mask"
)

const (
	maxLine = 64 << 10 // bytes of a line of the log, all in all
	maxText = maxLine - 128
)

// stamp is RFC 3339 with all nine digits, so that lines stand below each other.
const stamp = "2006-01-02T15:04:05.000000000Z07:00"

// journal is a job's log. Lines of several writers come out whole.
type journal struct {
	to   io.Writer
	now  func() time.Time
	max  int
	hide *mask.Masker // of what is in printf's lines

	mu   sync.Mutex
	size int
	full bool
	err  error
	rest []byte // what was not written any more when err came
}

// writer returns a writer for what container says.
func (j *journal) writer(container string) *lines { return &lines{journal: j, container: container} }

// printf writes one line of our own.
func (j *journal) printf(container, format string, args ...any) {
	w := j.writer(container)
	fmt.Fprintln(w, j.hide.Text(fmt.Sprintf(format, args...)))
}

// write appends whole lines, as long as there is room. It never fails, since a command must not stop for its log: the
// first error is kept for close.
func (j *journal) write(container string, text []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.full || j.err != nil {
		return
	}
	if j.size += len(text); j.size > j.max {
		j.full = true
		text = fmt.Appendf(nil, "%s %s [the log is larger than %d bytes: the rest is not kept]\n", j.now().UTC().Format(stamp), container, j.max)
	}
	n, err := j.to.Write(text)
	if err != nil {
		j.err, j.rest = err, text[n:]
	}
}

// close returns the first error. A log that was cut by it gets the end of its last line and a line that says so, if there
// is room again.
func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		return nil
	}
	line, _, _ := bytes.Cut(j.rest, []byte("\n"))
	last := fmt.Appendf(slices.Clip(line), "\n%s %s [the log could not be written: %v: what followed is missing]\n", j.now().UTC().Format(stamp), taskName, j.err)
	_, _ = j.to.Write(last) // It has an error already.
	return j.err
}

// lines turns a stream of bytes into lines `<time> <container> <text>`: valid UTF-8, at most maxLine bytes each. A longer
// line goes on in the next. A carriage return alone ends a line too, so that progress bars can be read.
type lines struct {
	journal   *journal
	container string
	rest      []byte // of a line that has not ended
	returned  bool   // the last byte was a carriage return
}

// Write takes any piece of the stream and never fails.
func (l *lines) Write(p []byte) (int, error) {
	var out []byte
	for rest := p; len(rest) > 0; {
		if l.returned && rest[0] == '\n' {
			l.returned, rest = false, rest[1:]
			continue
		}
		l.returned = false
		end := bytes.IndexAny(rest, "\r\n")
		if end < 0 {
			l.rest = append(l.rest, rest...)
			break
		}
		out = l.format(out, append(l.rest, rest[:end]...))
		l.returned = rest[end] == '\r'
		l.rest, rest = l.rest[:0], rest[end+1:]
	}
	for len(l.rest) > maxText {
		cut := wholeRunes(l.rest, maxText)
		out = l.format(out, l.rest[:cut])
		l.rest = append(l.rest[:0], l.rest[cut:]...)
	}
	if len(out) > 0 {
		l.journal.write(l.container, out)
	}
	return len(p), nil
}

// end writes a last line that has no line break.
func (l *lines) end() {
	if len(l.rest) > 0 {
		l.journal.write(l.container, l.format(nil, l.rest))
		l.rest = nil
	}
}

// format appends text to out as one line, or as many as it takes.
func (l *lines) format(out, text []byte) []byte {
	text = bytes.ToValidUTF8(text, []byte("\ufffd"))
	for {
		cut := len(text)
		if cut > maxText {
			cut = wholeRunes(text, maxText)
		}
		out = l.journal.now().UTC().AppendFormat(out, stamp)
		out = append(out, ' ')
		out = append(out, l.container...)
		out = append(out, ' ')
		out = append(out, text[:cut]...)
		out = append(out, '\n')
		if text = text[cut:]; len(text) == 0 {
			return out
		}
	}
}

// wholeRunes is the largest number of bytes up to n that does not cut a rune of text in two.
func wholeRunes(text []byte, n int) int {
	if n >= len(text) {
		return len(text)
	}
	for back := range utf8.UTFMax {
		if utf8.RuneStart(text[n-back]) {
			return n - back
		}
	}
	return n // It is no UTF-8.
}
