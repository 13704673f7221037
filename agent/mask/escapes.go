package mask

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// component makes of a text in percents what encodeURIComponent writes.
var component = strings.NewReplacer("%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*")

// urlForms returns base as it stands in a query, in a path, before the @ of a URL, and as JavaScript's
// encodeURIComponent writes it; with hexadecimal digits in upper and in lower case.
func urlForms(base string) []string {
	query := url.QueryEscape(base)
	percent := strings.ReplaceAll(query, "+", "%20")
	forms := []string{query, percent, component.Replace(percent), url.PathEscape(base), url.User(base).String()}
	for _, f := range forms {
		forms = append(forms, lowerPercents(f))
	}
	return forms
}

func lowerPercents(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

// jsonForms returns base as it stands inside the quotes of a JSON text. RFC 8259 lets a writer choose what to escape:
// these are the choices of Go, JavaScript, Python, Jackson, Gson and .NET, and of PHP, which escapes slashes too.
func jsonForms(base string) []string {
	const lower, upper, all = "0123456789abcdef", "0123456789ABCDEF", utf8.MaxRune + 1
	forms := []string{goJSON(base, false), goJSON(base, true)}
	for _, style := range []jsonStyle{
		{"", all, lower},
		{"", utf8.RuneSelf, lower},
		{"", utf8.RuneSelf, upper},
		{"<>&='", all, lower},
		{"\"<>&'+`", utf8.RuneSelf, lower},
		{"\"<>&'+`", utf8.RuneSelf, upper},
	} {
		text := style.escape(base)
		forms = append(forms, text, strings.ReplaceAll(text, "/", `\/`))
	}
	return forms
}

// goJSON returns s as encoding/json writes it, without the quotes around it.
func goJSON(s string, html bool) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(html)
	_ = enc.Encode(s) // A string always has a JSON text.
	return strings.TrimSuffix(b.String()[1:], "\"\n")
}

// jsonStyle is what a writer of JSON writes as \uXXXX beside what it must.
type jsonStyle struct {
	chars  string
	beyond rune // and all runes from this on
	digits string
}

func (j jsonStyle) escape(s string) string {
	const chars, letters = "\"\\\b\f\n\r\t", `"\bfnrt`
	var b strings.Builder
	b.Grow(len(s) + len(s)/8)
	for _, r := range s {
		short := strings.IndexRune(chars, r)
		switch {
		case strings.ContainsRune(j.chars, r), r >= j.beyond, r < ' ' && short < 0:
			for _, u := range utf16.AppendRune(nil, r) {
				b.Write([]byte{'\\', 'u', j.digits[u>>12], j.digits[u>>8&15], j.digits[u>>4&15], j.digits[u&15]})
			}
		case short >= 0:
			b.WriteByte('\\')
			b.WriteByte(letters[short])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
