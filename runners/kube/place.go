package kube

import (
	"strings"
	"time"
)

// Beginnings of our own lines, by which a log that was left off is found to be where it is.
const (
	waitMark = "waiting for "            // CONTAINER: TEXT
	fullMark = "[the log is larger than" // no line follows
)

// place is where a log ends.
type place struct {
	container string    // of the last line, or that the last line is about
	at        time.Time // of the last line of container, zero if it has none
	gap       bool      // the last line tells of a gap
	said      string    // the last line's text, if it is about what is awaited
	full      bool      // nothing more is to be written
}

// placeOf reads where a log ends from its last line. It is pure.
func placeOf(line string) place {
	before, text, _ := strings.Cut(line, " ")
	container, text, _ := strings.Cut(text, " ")
	at, err := time.Parse(time.RFC3339Nano, before)
	switch {
	case line == "":
		return place{}
	case err != nil: // Whoever keeps logs has put an end to this one.
		return place{full: true}
	case container != ourName:
		return place{container: container, at: at}
	}
	if rest, ok := strings.CutPrefix(text, waitMark); ok {
		container, _, _ = strings.Cut(rest, ":")
		return place{container: container, said: text}
	}
	if rest, ok := strings.CutPrefix(text, gapMark); ok {
		container, _, _ = strings.Cut(rest, ":")
		return place{container: container, at: at, gap: true}
	}
	return place{full: strings.HasPrefix(text, fullMark)}
}

// behind tells whether the log has all of a container's lines that it will ever have.
func (p place) behind(container string) bool {
	return container == cloneContainer && p.container == taskContainer
}

// in is the time of the last line that the log has of a container, zero if it has none.
func (p place) in(container string) time.Time {
	if p.container != container {
		return time.Time{}
	}
	return p.at
}
