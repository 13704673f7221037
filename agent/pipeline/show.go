package pipeline

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// How much of what strangers write stands in a reason.
const (
	maxShown     = 100 // characters of one value
	maxShownList = 10  // patterns
	maxShownSome = 2   // changed files
)

// show writes a value as it is where it reads as one word, and quoted where it does not.
func show(s string) string {
	odd := func(r rune) bool {
		return !unicode.IsPrint(r) || r == ' ' || r == '"' || r == '`' || r == unicode.ReplacementChar
	}
	if s == "" || len(s) > maxShown || strings.ContainsFunc(s, odd) {
		return quote(s)
	}
	return s
}

func quote(s string) string {
	if r := []rune(s[:min(len(s), 4*maxShown+1)]); len(r) > maxShown {
		return strconv.Quote(string(r[:maxShown])) + "..."
	}
	return strconv.Quote(s)
}

func quoteAll(texts []string) string {
	var quoted []string
	for _, t := range texts[:min(len(texts), maxShownList)] {
		quoted = append(quoted, quote(t))
	}
	return strings.Join(quoted, ", ") + more(len(texts)-len(quoted))
}

// some names the first of the files and counts the rest.
func some(files []string) string {
	if len(files) == 0 {
		return "no file changed"
	}
	var shown []string
	for _, f := range files[:min(len(files), maxShownSome)] {
		shown = append(shown, show(f))
	}
	return strings.Join(shown, ", ") + more(len(files)-len(shown))
}

func more(n int) string {
	if n < 1 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}
