package web

import (
	"bytes"
	"fmt"
	"unicode"
)

// harmless shows the characters of a page that nobody sees but that change what is seen, as [U+202E]. Templates escape
// what could become markup; these would still let a branch or a log line reorder the text around it.
func harmless(page []byte) []byte {
	page = bytes.ToValidUTF8(page, []byte("\uFFFD"))
	if !bytes.ContainsFunc(page, unseen) {
		return page
	}
	out := make([]byte, 0, len(page)+1024)
	for _, r := range string(page) {
		if unseen(r) {
			out = fmt.Appendf(out, "[U+%04X]", r)
			continue
		}
		out = append(out, string(r)...)
	}
	return out
}

// unseen tells whether r is a control character that text has no use for, or one that overrides the direction or the lines
// of text (Unicode TR 36, and 'Trojan Source', CVE-2021-42574).
func unseen(r rune) bool {
	switch {
	case r == '\n', r == '\t', r == '\r':
		return false
	case unicode.IsControl(r), r == '\u2028', r == '\u2029', r == '\u200e', r == '\u200f', r == '\u061c', r == '\ufeff':
		return true
	}
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r >= 0xE0000 && r <= 0xE007F
}
