package agent

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/run"
)

const (
	lastBytes = 8 << 10         // of a log that are read for its last words
	lastLines = 20              // that these are
	lastWait  = 5 * time.Second // for them
)

// details says in Markdown which of the tasks failed, and the last words of the first of them; nil where none did. only
// names one task; "": all.
func (p *reporter) details(r run.Run, only string) func(context.Context) string {
	var failed []run.Task
	for _, t := range r.Tasks {
		if t.State == run.Failed && (only == "" || only == t.Name) {
			failed = append(failed, t)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return func(ctx context.Context) string {
		var b strings.Builder
		for _, t := range failed {
			fmt.Fprintf(&b, "- **%s**: %s\n", t.Name, plain(t.Line()))
		}
		first := failed[0]
		key := logs.Key{Run: r.Plan.ID, Task: first.Name, Attempt: first.Attempt}
		if words := p.lastWords(ctx, key); len(words) > 0 {
			fmt.Fprintf(&b, "\nThe last words of %s:\n\n", first.Name)
			for _, line := range words {
				b.WriteString("    " + line + "\n")
			}
		}
		return b.String()
	}
}

// lastWords are the last lines of a log, without their times; none where it cannot be read: what is told is told without.
func (p *reporter) lastWords(ctx context.Context, key logs.Key) []string {
	ctx, cancel := context.WithTimeout(ctx, lastWait)
	defer cancel()
	size, _, err := p.cfg.Logs.Last(ctx, key)
	if err != nil || size == 0 {
		return nil
	}
	from := max(0, size-lastBytes)
	chunk, err := p.cfg.Logs.Read(ctx, key, from, 0)
	if err != nil {
		return nil
	}
	data := bytes.TrimRight(chunk.Data, "\n")
	if i := bytes.IndexByte(data, '\n'); from > 0 && i >= 0 {
		data = data[i+1:] // The first line is the rest of one.
	}
	lines := strings.Split(string(data), "\n")
	lines = lines[max(0, len(lines)-lastLines):]
	for i, line := range lines {
		if parts := strings.SplitN(line, " ", 3); len(parts) == 3 { // <time> <container> <text>
			if _, err := time.Parse(time.RFC3339Nano, parts[0]); err == nil {
				line = parts[2]
			}
		}
		lines[i] = printable(line)
	}
	return lines
}

// escapes are a terminal's commands for how what follows looks (CSI sequences, ECMA-48).
var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[ -/]*[@-~]`)

// printable is a line without what only a terminal understands.
func printable(line string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) && c != '\t' {
			return -1
		}
		return c
	}, escapes.ReplaceAllString(line, ""))
}

// plain is a line that means nothing more in Markdown than what it says.
func plain(line string) string {
	var b strings.Builder
	for _, c := range printable(line) {
		if strings.ContainsRune("\\`*_{}[]<>()#+-.!|~&@", c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}
