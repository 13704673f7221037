package mask

import (
	"encoding/base64"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// formsOf returns every text in which one of values may be printed, in pieces, sorted. None holds a line feed, none is
// shorter than MinValue, none is there twice. Errors: ErrLarge.
func formsOf(values []string) ([]string, error) {
	var all forms
	for _, v := range values {
		for f := range everyForm(v) {
			all.add(f)
			if all.size > 2*all.kept+MaxForms/8 {
				all.compact()
			}
			if all.kept > MaxForms {
				return nil, fmt.Errorf("all forms of %d values take more than %d bytes: %w", len(values), MaxForms, ErrLarge)
			}
		}
	}
	if all.compact(); all.size > MaxForms {
		return nil, fmt.Errorf("all forms of %d values take more than %d bytes: %w", len(values), MaxForms, ErrLarge)
	}
	return all.list, nil
}

// everyForm goes through every text in which a value may be printed, some of them more than once.
func everyForm(value string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, base := range basesOf(value) {
			for _, f := range encode(base) {
				if len(f) >= MinValue && !strings.Contains(f, "\n") && !yield(f) {
					return
				}
			}
		}
	}
}

// forms are pieces of forms.
type forms struct {
	list []string
	size int // bytes of them
	kept int // size when none was there twice, at last
}

// add adds a form. The last of its pieces overlaps the one before: a short end of a text may be a word that other texts
// have too. What looks like base64 is told from them by less.
func (f *forms) add(form string) {
	overlap := piece
	if strings.Trim(form, base64Text) == "" {
		overlap = least
	}
	for len(form) > piece {
		f.put(form[:piece])
		form = form[min(piece, len(form)-overlap):]
	}
	f.put(form)
}

// base64Text is all that a text in base64 has, of both alphabets.
const base64Text = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_="

func (f *forms) put(p string) {
	f.list = append(f.list, p)
	f.size += len(p)
}

// compact sorts, and drops what is there twice.
func (f *forms) compact() {
	slices.Sort(f.list)
	f.list = slices.Compact(f.list)
	f.size = 0
	for _, p := range f.list {
		f.size += len(p)
	}
	f.kept = f.size
}

// basesOf returns what of a value is printed as one: the value, the value as a shell's $(cat file) gives it, its lines,
// and the credentials in it.
func basesOf(value string) []string {
	bases := slices.Concat([]string{value, strings.Trim(value, "\r\n")}, linesOf(value), credentials(value))
	slices.Sort(bases)
	return slices.DeleteFunc(slices.Compact(bases), func(base string) bool { return len(base) < MinValue })
}

// encode returns base in every form, none twice.
func encode(base string) []string {
	all := slices.Concat(
		[]string{base, strings.ReplaceAll(base, `'`, `'\''`)}, // As it is, and as a shell quotes it.
		base64Forms(base), urlForms(base), jsonForms(base),
	)
	slices.Sort(all)
	return slices.Compact(all)
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
