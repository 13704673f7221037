package kube

import (
	"bytes"
	"fmt"
	"time"
	"unicode/utf8"
)

const (
	maxLine = 64 << 10 // bytes of a line of the log, all in all
	maxText = maxLine - 128
)

// stamp is RFC 3339 with all nine digits, so that lines stand below each other.
const stamp = "2006-01-02T15:04:05.000000000Z07:00"

// ourName is the container of lines that are Millrace's own.
const ourName = "millrace"

// lines turns the stream of one container's log, of which each line has the time before it, into lines of a runners.Log:
// valid UTF-8, at most maxLine bytes each. A longer line goes on in the next; a carriage return alone ends a line too. Of
// one stream and the same stream read again the lines are the same, however it is cut into pieces, and each is later than
// the one before, by a nanosecond where its runtime says otherwise: so the time of a line names it, also after its text
// was masked, and a stream that is read again goes on behind the line that the log has last.
type lines struct {
	container string
	start     time.Time                // stands in for the time of text that has none
	from      time.Time                // of the last line that the log has already; zero: it has none
	found     bool                     // that line was seen, or is not to be looked for
	words     func(text string) string // makes alien a line that may be shown

	at   time.Time // of the last line that was made
	out  []byte    // whole lines that the log has not
	rest []byte    // of the stream: not made a line yet

	midLine bool   // the time before the present line was read
	said    bool   // the present line has a part that was made a line, rest goes on with it
	raw     bool   // the present line is the end of one that began before the stream did
	alien   string // how such a line began, or a node's words instead of a log
	time    time.Time
}

// sinceOf is from when on a stream must be asked for that goes on behind the line of this time. The API knows whole seconds
// only, and a runtime's times may go back a little, so it is a second or two more.
func sinceOf(from time.Time) time.Time { return from.Add(-time.Second).Truncate(time.Second) }

// Write takes any piece of the stream and never fails.
func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	taken := 0
	for {
		n := l.step(l.rest[taken:])
		if n == 0 {
			break
		}
		taken += n
	}
	rest := l.rest[taken:]
	if cap(l.rest) > 4*len(rest)+1024 { // What is left may lie there for hours.
		l.rest = bytes.Clone(rest)
	} else {
		l.rest = append(l.rest[:0], rest...)
	}
	return len(p), nil
}

// step takes the next bit of rest and returns its length, 0 when more of the stream must be known.
func (l *lines) step(rest []byte) int {
	if !l.midLine {
		return l.prefix(rest)
	}
	end := bytes.IndexAny(rest, "\r\n")
	if end > maxText || end < 0 && len(rest) > maxText {
		cut := wholeRunes(rest, maxText)
		l.line(rest[:cut])
		l.said = true
		return cut
	}
	if end < 0 || rest[end] == '\r' && end+1 == len(rest) {
		return 0
	}
	if end > 0 || !l.said {
		l.line(rest[:end])
	}
	l.said = false
	if rest[end] == '\r' && rest[end+1] != '\n' {
		return end + 1
	}
	l.midLine, l.raw = false, false
	if rest[end] == '\r' {
		end++
	}
	return end + 1
}

// prefix takes the time before a line.
func (l *lines) prefix(rest []byte) int {
	const longest = len(stamp) + 10
	end := bytes.IndexAny(rest[:min(len(rest), longest)], " \n")
	if end < 0 && len(rest) < longest {
		return 0
	}
	l.midLine = true
	if end >= 0 && rest[end] == ' ' {
		at, err := time.Parse(time.RFC3339Nano, string(rest[:end]))
		if err == nil {
			l.time = at
			return end + 1
		}
	}
	l.raw = l.at.IsZero() && !l.from.IsZero()
	if l.time.IsZero() {
		l.time = l.start
	}
	return l.step(rest) // The text has no time.
}

// end takes the end of the stream. If it is the log's end too, an open line is one, and a line that was looked for and not
// found is missing.
func (l *lines) end(whole bool) {
	if !whole {
		return
	}
	if rest := bytes.TrimSuffix(l.rest, []byte("\r")); l.midLine && len(rest) > 0 {
		l.line(rest)
	} else if len(l.rest) > 0 && !l.midLine {
		l.time = later(l.time, l.start)
		l.line(l.rest)
	}
	l.rest = nil
	if !l.from.IsZero() && !l.found {
		l.gap(time.Time{})
	}
}

// line makes text a line, or as many as it takes.
func (l *lines) line(text []byte) {
	if l.raw {
		l.alien += string(text[:min(len(text), max(0, maxText-len(l.alien)))]) // It is cut shorter when it was masked.
		return
	}
	text = bytes.ToValidUTF8(text, []byte("\ufffd"))
	for first := true; first || len(text) > 0; first = false {
		cut := wholeRunes(text, maxText)
		l.at = later(l.time, l.at.Add(1))
		switch {
		case l.at.Equal(l.from):
			l.found = true
		case l.at.After(l.from):
			if !l.from.IsZero() && !l.found {
				l.gap(l.at)
			}
			l.out = appendLine(l.out, l.at, l.container, text[:cut])
		}
		text = text[cut:]
	}
}

// gap says that the line that the log has last is not in the stream any more: what came after it may be missing, up to
// a time, or to the end if that is zero.
func (l *lines) gap(to time.Time) {
	l.found = true
	until := "to its end"
	if !to.IsZero() {
		until = "to " + to.UTC().Format(stamp)
	}
	text := fmt.Sprintf("%s%s: lines from %s %s may be missing, the node keeps only the newest part of a log", gapMark, l.container, l.from.UTC().Format(stamp), until)
	if l.alien != "" {
		text += ": " + l.words(string(bytes.ToValidUTF8([]byte(l.alien), []byte("\ufffd"))))
	}
	l.out = appendLine(l.out, l.from.Add(1), ourName, []byte(text+"]"))
	l.at = later(l.at, l.from.Add(2))
}

// gapMark begins the text of a line about a gap, the container's name and a colon follow.
const gapMark = "[log gap: "

// appendLine appends a line of the log. Its text has no line break.
func appendLine(out []byte, at time.Time, container string, text []byte) []byte {
	out = at.UTC().AppendFormat(out, stamp)
	out = append(out, ' ')
	out = append(out, container...)
	out = append(out, ' ')
	out = append(out, text...)
	return append(out, '\n')
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

// later is the later one of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
