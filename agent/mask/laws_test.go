package mask_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/millrace-ci/millrace/agent/mask"
)

// TestLaws checks what must hold of any values, any text and any split into writes.
func TestLaws(t *testing.T) {
	t.Parallel()
	letters := rapid.StringOfN(rapid.SampledFrom([]rune("aab'\"/é\n*")), 4, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(letters, 0, 4).Draw(t, "values")
		text := rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "text")
		splits := rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "splits")
		checkLaws(t, values, text, splits)
	})
}

// FuzzMask does the same with what the fuzzer makes; values are apart by 0 bytes.
func FuzzMask(f *testing.F) {
	f.Add("sluice\x00millstone", []byte("open \x80 and \x81\n\xc0\xc1"), []byte{3, 1, 4})
	f.Add("aaaa\x00aaaab\x00abab", []byte("aaaaababaaaabab"), []byte{1})
	f.Add("one line\r\nanother line\r\n", []byte("\x80\x81\x82\x83\x84\x85\n"), []byte{5, 2})
	f.Add("****\x00**a*", []byte("*****a*a***"), []byte{2})
	f.Add(`{"auths":{"b":{"auth":"cm9ib3Q6aHVudGVyMg=="}}}`, []byte("\x80\x90\xc0\xd0\xe0"), []byte{7})
	f.Add("users:\n- user:\n    token: eyJhb.tail\n", []byte("\x81\n\xc1\xff"), []byte{2, 9})
	f.Fuzz(func(t *testing.T, values string, text, splits []byte) {
		if len(values) > 200 || len(text) > 200 {
			return
		}
		checkLaws(t, strings.Split(values, "\x00"), text, splits)
	})
}

// FuzzForms hides a value of one line in the forms that the standard library writes it in, beside anything at all.
func FuzzForms(f *testing.F) {
	f.Add("hunter2-hunter2", "u:", "\n")
	f.Add(`it's "p@ss" w/rd+~(*)<é&=>!`, "", `"`)
	f.Add("\xff\xfe€𝄞\x00", "aa", "==")
	f.Add("aaaaaaaa", "a", "a")
	f.Fuzz(func(t *testing.T, value, before, after string) {
		m, err := mask.New(value)
		if err != nil || len(value) > 200 || len(before)+len(after) > 200 || strings.ContainsAny(value, "\r\n") || strings.TrimSpace(value) != value {
			return
		}
		forms := []string{value, url.QueryEscape(value), url.PathEscape(value)}
		if quoted, err := json.Marshal(value); err == nil && utf8.ValidString(value) {
			forms = append(forms, string(quoted[1:len(quoted)-1]))
		}
		for _, base := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
			forms = append(forms, base.EncodeToString([]byte(value)))
		}
		for _, form := range forms {
			if got := m.Text(before + form + after); strings.Contains(got, form) && !strings.Contains(form, "*") {
				t.Errorf("value %q shows as %q in %q", value, form, got)
			}
		}
	})
}

func checkLaws(t rapid.TB, values []string, seed, splits []byte) {
	m, err := mask.New(values...)
	if err != nil {
		return
	}
	forms, err := mask.FormsOf(values)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := mask.WholeFormsOf(values)
	if err != nil {
		t.Fatal(err)
	}
	text := plant(seed, whole)
	want := search(forms, text)
	if got := m.Text(text); got != want {
		t.Fatalf("values %q, text %q:\ngot  %q\nwant %q", values, text, got, want)
	}
	for _, splits := range [][]byte{{1}, splits} {
		if got := split(t, m, text, splits); got != want {
			t.Fatalf("values %q, text %q, split %v:\ngot  %q\nwant %q", values, text, splits, got, want)
		}
	}
	for _, form := range slices.Concat(forms, whole) {
		if strings.Contains(form, "\n") {
			t.Fatalf("values %q: form %q has a line feed", values, form)
		}
		if !strings.Contains(form, "*") && strings.Contains(want, form) {
			t.Fatalf("values %q, text %q: %q shows %q", values, text, want, form)
		}
	}
}

// plant replaces bytes beyond ASCII by forms, whole and cut, so that a text has many.
func plant(seed []byte, forms []string) string {
	var b strings.Builder
	for i, c := range seed {
		if c < 0x80 || len(forms) == 0 {
			b.WriteByte(c)
			continue
		}
		form := forms[(i*int(c))%len(forms)]
		if c < 0xa0 {
			form = form[len(form)/3:]
		} else if c < 0xc0 {
			form = form[:len(form)*2/3]
		}
		b.WriteString(form)
	}
	return b.String()
}

// search hides forms in the plainest way: it marks each byte of each place where a form is.
func search(forms []string, text string) string {
	secret := make([]bool, len(text))
	for _, form := range forms {
		for i := range len(text) {
			if strings.HasPrefix(text[i:], form) {
				for k := range len(form) {
					secret[i+k] = true
				}
			}
		}
	}
	var b strings.Builder
	for i := range len(text) {
		switch {
		case !secret[i]:
			b.WriteByte(text[i])
		case i == 0 || !secret[i-1]:
			b.WriteString(mask.Hidden)
		}
	}
	return b.String()
}

// split masks text in writes of the given sizes, again and again. Behind a line feed nothing may be held back.
func split(t rapid.TB, m *mask.Masker, text string, sizes []byte) string {
	var out strings.Builder
	w := m.Writer(&out)
	for i, at := 0, 0; at < len(text); i++ {
		end := min(at+1, len(text))
		if len(sizes) > 0 {
			end = min(at+int(sizes[i%len(sizes)])%64+1, len(text))
		}
		if _, err := w.Write([]byte(text[at:end])); err != nil {
			t.Fatal(err)
		}
		if at = end; text[at-1] == '\n' {
			if got, want := out.String(), m.Text(text[:at]); got != want {
				t.Fatalf("behind a line feed: got %q, want %q", got, want)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
