package param

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var validName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// ValidName tells whether a parameter may be called so. Every such name can also be that of an environment variable.
func ValidName(s string) bool { return validName.MatchString(s) }

// DidYouMean is the end of a message about an unknown name: the known one that was probably meant, or nothing.
func DidYouMean(name string, known []string) string {
	if best := Nearest(name, known); best != "" {
		return fmt.Sprintf(", did you mean `%s`?", best)
	}
	return ""
}

// Nearest is the known name that was probably meant by an unknown one, or "".
func Nearest(name string, known []string) string {
	const longest = 64 // bounds the work; real names are shorter
	best, least := "", 1+max(1, len(name)/3)
	for _, k := range slices.Sorted(slices.Values(known)) {
		if len(name) > longest || len(k) > longest {
			continue
		}
		if n := distance(strings.ToLower(name), strings.ToLower(k)); n < least {
			best, least = k, n
		}
	}
	return best
}

// distance is how many bytes must be inserted, removed, changed or swapped with their neighbor to make b of a
// (optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
