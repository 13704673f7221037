package web

import (
	"bytes"
	"fmt"
	"html/template"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// funcs are what the pages say things with.
func (s *site) funcs() template.FuncMap {
	return template.FuncMap{
		"ago":    func(t time.Time) string { return ago(s.cfg.Now().Sub(t)) },
		"took":   func(from, to time.Time) string { return took(from, to, s.cfg.Now()) },
		"stamp":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"iso":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"short":  short,
		"first":  firstLine,
		"refs":   refName,
		"verb":   verb,
		"next":   nextPage,
		"status": deliveryState,
		"states": func() []run.State {
			return []run.State{run.Waiting, run.Running, run.Canceling, run.Succeeded, run.Failed, run.Canceled, run.Skipped}
		},
	}
}

// line is one line of a log.
type line struct {
	Time string // 15:04:05
	From string // which container
	Text string
}

// escapes are a terminal's commands (CSI and OSC sequences, ECMA-48) and control characters other than a tab.
var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(\x07|\x1b\\\\)|[\x00-\x08\x0b-\x1f\x7f]")

// linesOf takes a log apart: `<RFC 3339> <container> <text>` a line.
func linesOf(data []byte) []line {
	var lines []line
	for raw := range bytes.Lines(data) {
		parts := strings.SplitN(strings.TrimSuffix(string(raw), "\n"), " ", 3)
		at, err := time.Parse(time.RFC3339Nano, parts[0])
		if err != nil || len(parts) < 3 {
			lines = append(lines, line{Text: escapes.ReplaceAllString(strings.Join(parts, " "), "")})
			continue
		}
		lines = append(lines, line{at.UTC().Format(time.TimeOnly), parts[1], escapes.ReplaceAllString(parts[2], "")})
	}
	return lines
}

// ago says how long something is past, in its largest unit.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

// took says how long something took, or takes until now.
func took(from, to, now time.Time) string {
	if from.IsZero() {
		return ""
	}
	if to.IsZero() {
		to = now
	}
	d := max(to.Sub(from), 0)
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

func short(commit string) string { return commit[:min(len(commit), 8)] }

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// refName is a ref as people say it.
func refName(ref string) string {
	for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
		if name, ok := strings.CutPrefix(ref, prefix); ok {
			return name
		}
	}
	if n, ok := strings.CutPrefix(ref, "refs/pull/"); ok {
		return "request " + strings.TrimSuffix(n, "/head")
	}
	return ref
}

// verb is the mark that stands before a state's name, so that colour is not all that tells it.
func verb(s any) string {
	switch fmt.Sprint(s) {
	case string(run.Succeeded), "planned":
		return "✓"
	case string(run.Failed):
		return "✕"
	case string(run.Running), string(run.Canceling):
		return "●"
	case string(run.Canceled):
		return "⊘"
	case string(run.Skipped), "ignored":
		return "–"
	}
	return "○"
}

// deliveryState is a delivery's state in one word.
func deliveryState(r inbox.Record) string {
	switch {
	case r.Ignored != "" || r.Planned != nil && r.Planned.Ignored:
		return "ignored"
	case r.Planned == nil:
		return "waiting"
	case r.Planned.Error != "":
		return "failed"
	}
	return "planned"
}

// nextPage is the query of the next page of runs.
func nextPage(f store.Filter, cursor string) string {
	q := url.Values{"cursor": {cursor}}
	for name, value := range map[string]string{"repo": f.Repo, "branch": f.Branch, "pipeline": f.Pipeline, "state": string(f.State), "commit": f.Commit} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return "?" + q.Encode()
}
