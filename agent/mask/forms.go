package mask

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// formsOf returns every text in which one of values may be printed, sorted. None holds a line feed, none is shorter
// than MinValue, none is there twice. Errors: ErrLarge.
func formsOf(values []string) ([]string, error) {
	forms, size := map[string]bool{}, 0
	for _, v := range values {
		for base := range basesOf(v) {
			for _, f := range encode(base) {
				if len(f) < MinValue || strings.Contains(f, "\n") || forms[f] {
					continue
				}
				forms[f] = true
				if size += len(f); size > MaxForms {
					return nil, fmt.Errorf("all forms of %d values take more than %d bytes: %w", len(values), MaxForms, ErrLarge)
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(forms)), nil
}

// basesOf returns what of a value is printed as one: the value, the value as a shell's $(cat file) gives it, each line
// without the space around it, since tools indent lines and change their ends, and the credentials in it.
func basesOf(value string) map[string]bool {
	bases := map[string]bool{value: true, strings.Trim(value, "\r\n"): true}
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= MinValue {
			bases[line] = true
		}
	}
	for _, c := range credentials(value) {
		if len(c) >= MinValue {
			bases[c] = true
		}
	}
	return bases
}

// encode returns base in every form.
func encode(base string) []string {
	return slices.Concat(
		[]string{base, strings.ReplaceAll(base, `'`, `'\''`)}, // As it is, and as a shell quotes it.
		base64Forms(base), urlForms(base), jsonForms(base),
	)
}

// base64Forms returns base in base64 (RFC 4648, both alphabets), alone and inside a longer text: behind 0, 1 or 2 bytes
// of the text before it the characters fall differently. Characters that hold bits of what stands beside base are
// left out, but at the end of the text, where they are known.
func base64Forms(base string) []string {
	var forms []string
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for before := range 3 {
			padded := enc.EncodeToString([]byte("\x00\x00"[:before] + base))
			first := (before*8 + 5) / 6
			end := (before + len(base)) * 8 / 6
			forms = append(forms, padded[first:end], strings.TrimRight(padded[first:], "="), padded[first:])
		}
	}
	return append(forms, wrapped(base)...)
}

// wrapped returns the lines of base as base64 and openssl write it: 76 and 64 characters each.
func wrapped(base string) []string {
	text := base64.StdEncoding.EncodeToString([]byte(base))
	var lines []string
	for _, width := range []int{64, 76} {
		for at := 0; at < len(text); at += width {
			lines = append(lines, text[at:min(at+width, len(text))])
		}
	}
	return lines
}
