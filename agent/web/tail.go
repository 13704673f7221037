package web

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
)

// tail is the end of a log.
type tail struct {
	Lines []line
	Cut   bool // there is more before it
}

// line is one line of a log.
type line struct {
	Time  string // 15:04:05
	Text  string
	Quiet bool // it tells of the preparations, not of the task
}

const (
	mostLines  = 500  // that are shown of one log
	leastLines = 20   // that are shown of each log, however many there are
	pageLines  = 4000 // that a page shows about, of all its logs
	lineBytes  = 256  // that are read for each line: what an ordinary log needs, and more
)

// shownLines is how many lines of each log a page with that many logs shows.
func shownLines(tasks int) int {
	return min(mostLines, max(leastLines, pageLines/max(tasks, 1)))
}

// tail reads at most the last lines of a log.
func (s *site) tail(ctx context.Context, key logs.Key, lines int) (tail, error) {
	data, from, err := s.end(ctx, key, int64(lines)*lineBytes)
	if err != nil {
		return tail{}, err
	}
	if i := bytes.IndexByte(data, '\n'); from > 0 && i >= 0 && i+1 < len(data) {
		data = data[i+1:] // the first line is the rest of one
	}
	all := linesOf(data)
	end := all[max(0, len(all)-lines):]
	return tail{end, from > 0 || len(end) < len(all)}, nil
}

// end reads the last size bytes of a log and tells where they begin.
func (s *site) end(ctx context.Context, key logs.Key, size int64) (data []byte, from int64, err error) {
	total, _, err := s.cfg.Logs.Last(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	from = max(0, total-size)
	for at := from; at < total; {
		chunk, err := s.cfg.Logs.Read(ctx, key, at, 0)
		if err != nil || len(chunk.Data) == 0 {
			return data, from, err
		}
		data, at = append(data, chunk.Data...), chunk.Next
	}
	return data, from, nil
}

// escapes are a terminal's commands (CSI and OSC sequences, ECMA-48) and control characters other than a tab.
var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(\x07|\x1b\\\\)|[\x00-\x08\x0a-\x1f\x7f]")

// preparing are the containers that tell of the preparations, as runners name them in logs: what brings the repository,
// and Millrace itself.
var preparing = []string{"source", "clone", "millrace"}

// linesOf takes a log apart: `<RFC 3339> <container> <text>` a line.
func linesOf(data []byte) []line {
	var lines []line
	for raw := range bytes.Lines(data) {
		text := strings.TrimRight(string(raw), "\r\n")
		one := line{Text: text}
		if parts := strings.SplitN(text, " ", 3); len(parts) == 3 {
			if at, err := time.Parse(time.RFC3339Nano, parts[0]); err == nil {
				one = line{at.UTC().Format(time.TimeOnly), parts[2], slices.Contains(preparing, parts[1])}
			}
		}
		one.Text = one.Text[strings.LastIndexByte(one.Text, '\r')+1:] // a progress bar: what it showed last
		one.Text = escapes.ReplaceAllString(one.Text, "")
		lines = append(lines, one)
	}
	return lines
}
