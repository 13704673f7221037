package web

import (
	"fmt"
	"html/template"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// words are what the pages say things with.
func words(now func() time.Time, f files) template.FuncMap {
	return template.FuncMap{
		"again":    func(do, item, says, of, from string) ask { return ask{do, item, says, of, from} },
		"ago":      func(t time.Time) string { return ago(now().Sub(t)) },
		"asset":    f.address,
		"attempt":  func(api, task string, number int) attempt { return attempt{api, task, number} },
		"filtered": func(f store.Filter) bool { return f != store.Filter{} },
		"first":    firstLine,
		"iso":      func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"mark":     mark,
		"lasted":   lasted,
		"linked":   linked,
		"next":     nextPage,
		"refs":     refName,
		"said":     said,
		"short":    short,
		"stamp":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"size":     size,
		"states":   states,
		"until":    func(t time.Time) string { return roughly(t.Sub(now())) },
		"took":     func(from, to time.Time) string { return took(from, to, now()) },
	}
}

// ask is a form with one button about one thing that was given up.
type ask struct {
	Do   string // retry or forget
	Item string
	Says string // the button, and
	Of   string // what it is about, for who cannot see where it stands
	From string // the page that shows it: run, delivery, or "" for the list
}

// attempt is one of a task, for links to what is kept of it.
type attempt struct {
	API    string // address of the task in the API
	Task   string
	Number int
}

// states are those that a run can be in.
func states() []run.State {
	return []run.State{run.Waiting, run.Running, run.Canceling, run.Succeeded, run.Failed, run.Canceled, run.Skipped}
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

// roughly is how long something is still to come, as an estimate can tell.
func roughly(d time.Duration) string {
	switch minutes := int(d.Round(time.Minute).Minutes()); {
	case minutes <= 1:
		return "a minute"
	case minutes < 90:
		return fmt.Sprintf("%d minutes", minutes)
	}
	return fmt.Sprintf("%.1f hours", d.Hours())
}

// took says how long something took, or takes until now, as Go writes durations; "" if it never began.
func took(from, to, now time.Time) string {
	if from.IsZero() {
		return ""
	}
	if to.IsZero() {
		to = now
	}
	d, unit := max(to.Sub(from), 0), time.Second
	switch {
	case d < 10*time.Second:
		unit = 100 * time.Millisecond
	case d >= time.Hour:
		unit = time.Minute
	}
	text := strings.Replace(d.Truncate(unit).String(), "m0s", "m", 1)
	return strings.Replace(text, "h0m", "h", 1)
}

// lasted is how long an exchange with somebody took, "–" where nobody measured.
func lasted(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

func short(commit string) string { return commit[:min(len(commit), 8)] }

// firstLine is the subject of a message, cut where nobody would read on.
func firstLine(s string) string {
	const most = 200
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	s = strings.TrimSpace(s)
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most-1]) + "…"
	}
	return s
}

// said is what the forge was told, in words.
func said(told string) string {
	switch told {
	case "broken":
		return "failed: the definition is broken"
	case "not_affected":
		return "succeeded: not affected"
	}
	return told
}

// refName is a ref as people say it.
func refName(ref string) string {
	for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
		if name, ok := strings.CutPrefix(ref, prefix); ok {
			return name
		}
	}
	for _, prefix := range []string{"refs/pull/", "refs/merge-requests/"} {
		if n, ok := strings.CutPrefix(ref, prefix); ok {
			return "request " + strings.TrimSuffix(n, "/head")
		}
	}
	return ref
}

// mark stands before a state's name, so that it can be told at a glance, and not only by those who see colors.
func mark(state any) string {
	switch fmt.Sprint(state) {
	case string(run.Succeeded), planned:
		return "✓"
	case string(run.Failed):
		return "✕"
	case string(run.Running), string(run.Canceling):
		return "●"
	case string(run.Canceled):
		return "⊘"
	case string(run.Skipped), ignored, duplicate:
		return "–"
	}
	return "○"
}

// named are the runs and deliveries that a sentence of ours names.
var named = regexp.MustCompile(`\brun [a-z2-7]{20}\b|\bdelivery d[a-z2-7]{16}\b`)

// linked is a text whose runs and deliveries are links to their pages. What else is in it stays text.
func linked(text string) template.HTML {
	var out strings.Builder
	at := 0
	for _, found := range named.FindAllStringIndex(text, -1) {
		kind, id, _ := strings.Cut(text[found[0]:found[1]], " ")
		to := runPath(id)
		if kind == "delivery" {
			to = deliveryPath(id)
		}
		fmt.Fprintf(&out, `%s%s <a href="%s">%s</a>`, template.HTMLEscapeString(text[at:found[0]]), kind, to, id)
		at = found[1]
	}
	out.WriteString(template.HTMLEscapeString(text[at:]))
	return template.HTML(out.String()) //nolint:gosec // All but the links, whose ids are of [a-z2-7], is escaped.
}

// size says how many bytes something has, in a unit that people read.
func size(bytes int) string {
	switch {
	case bytes < 1<<10:
		return fmt.Sprintf("%d bytes", bytes)
	case bytes < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
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
