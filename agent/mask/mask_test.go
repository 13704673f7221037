package mask_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/agent/mask"
)

func newMasker(t testing.TB, values ...string) *mask.Masker {
	t.Helper()
	m, err := mask.New(values...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestText(t *testing.T) {
	t.Parallel()
	key := "-----BEGIN KEY-----\r\n  c2VjcmV0IG9uZQ\r\nab\r\nc2VjcmV0IHR3bw\r\n-----END KEY-----\r\n"
	for _, tt := range []struct {
		name   string
		values []string
		text   string
		want   string
	}{
		{"nothing is secret", nil, "sluice open\n", "sluice open\n"},
		{"nothing is there", []string{"sluice"}, "sluic esluic", "sluic esluic"},
		{"empty text", []string{"sluice"}, "", ""},
		{"each time", []string{"sluice"}, "sluice, my sluice.", "***, my ***."},
		{"end of the text", []string{"sluice"}, "open slu", "open slu"},
		{"side by side is one", []string{"sluice", "gate"}, "a sluicegatesluice", "a ***"},
		{"overlap is one", []string{"mill wheel", "wheel race"}, "the mill wheel race is on", "the *** is on"},
		{"a value begins another", []string{"mill", "millrace", "millrace.io"}, "millrac millrace.i millrace.io", "***rac ***.i ***"},
		{"a value is inside another", []string{"flour", "the flour mill"}, "the flour mil, the flour mill", "the *** mil, ***"},
		{"inside one that is not finished", []string{"abcdefgh", "cdef", "efgX"}, "abcdefgX", "ab***"},
		{"a value repeats itself", []string{"abab"}, "xabababax abab", "x***ax ***"},
		{"stars", []string{"****"}, "** **** *****", "** *** ***"},
		{"Unicode", []string{"Mühle€𝄞"}, `Mühle€𝄞 M\u00fchle\u20ac\ud834\udd1e M\u00FChle\u20AC\uD834\uDD1E Mühle M%C3%BChle%E2%82%AC%F0%9D%84%9E`, "*** *** *** Mühle ***"},
		{"not UTF-8", []string{"\xff\xfe\xfd\xfc"}, "\xff\xff\xfe\xfd\xfc\xff \ufffd", "\xff***\xff \ufffd"},
		{"lines, whatever their ends and the space around them", []string{key}, "key: |\n    c2VjcmV0IG9uZQ\n\tab\n    c2VjcmV0IHR3bw\r\n", "key: |\n    ***\n\tab\n    ***\r\n"},
		{"file ends in a line feed, its text does not", []string{"sluice\n"}, "sluice c2x1aWNl c2x1aWNlCg==", "*** *** ***"},
		{"is its own base64", []string{"sluice", "c2x1aWNl"}, "c2x1aWNl YzJ4MWFXTmw=", "*** ***"},
		{"holds its own base64", []string{"sluice c2x1aWNl"}, "sluice c2x1aWNl c2x1aWNl", "*** c2x1aWNl"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := newMasker(t, tt.values...).Text(tt.text); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// TestForms hides a value as tools write it.
func TestForms(t *testing.T) {
	t.Parallel()
	const value = `it's "p@ss" w/rd+~(*)<é&=>` + "\t!"
	m := newMasker(t, value, "first line\nsecond \"line\"\n")
	for by, text := range map[string]string{
		"nobody":                 value,
		"a shell":                `it'\''s "p@ss" w/rd+~(*)<é&=>` + "\t!",
		"JavaScript's JSON":      `it's \"p@ss\" w/rd+~(*)<é&=>\t!`,
		"Go's JSON":              `it's \"p@ss\" w/rd+~(*)\u003cé\u0026=\u003e\t!`,
		"Python's JSON":          `it's \"p@ss\" w/rd+~(*)<\u00e9&=>\t!`,
		"PHP's JSON":             `it's \"p@ss\" w\/rd+~(*)<\u00e9&=>\t!`,
		"PHP's JSON in UTF-8":    `it's \"p@ss\" w\/rd+~(*)<é&=>\t!`,
		"Jackson":                `it's \"p@ss\" w/rd+~(*)<\u00E9&=>\t!`,
		".NET's in lower case":   `it\u0027s \u0022p@ss\u0022 w/rd\u002b~(*)\u003c\u00e9\u0026=\u003e\t!`,
		"Gson":                   `it\u0027s \"p@ss\" w/rd+~(*)\u003cé\u0026\u003d\u003e\t!`,
		".NET's JSON":            `it\u0027s \u0022p@ss\u0022 w/rd\u002B~(*)\u003C\u00E9\u0026=\u003E\t!`,
		"a query":                url.QueryEscape(value),
		"a query in lower case":  `it%27s+%22p%40ss%22+w%2frd%2b~%28%2a%29%3c%c3%a9%26%3d%3e%09%21`,
		"a path":                 url.PathEscape(value),
		"a URL's user":           url.User(value).String(),
		"a URL's password":       strings.TrimPrefix(url.UserPassword("u", value).String(), "u:"),
		"encodeURIComponent":     `it's%20%22p%40ss%22%20w%2Frd%2B~(*)%3C%C3%A9%26%3D%3E%09!`,
		"JSON, lines in a field": `first line\nsecond \"line\"\n`,
		"JSON, one line of it":   `second \"line\"`,
		"a query, lines":         url.QueryEscape("first line\nsecond \"line\"\n"),
		"base64, no line feed":   base64.StdEncoding.EncodeToString([]byte("first line\nsecond \"line\"")),
	} {
		if got, want := m.Text("seen: ["+text+"]"), "seen: [***]"; got != want {
			t.Errorf("as written by %s: got %s, want %s", by, got, want)
		}
	}
}

// TestBase64 hides a value inside longer base64 texts: what shows of it is at most a character at each end, which
// also holds bits of what stands beside it.
func TestBase64(t *testing.T) {
	t.Parallel()
	const value = "s3cr?t~>\xfe\xff-of-the-mill"
	m := newMasker(t, value)
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		for before := range 7 {
			for after := range 7 {
				text := enc.EncodeToString([]byte("prefix:"[:before] + value + ":suffix"[:after]))
				got := m.Text(text)
				start, end, found := strings.Cut(got, mask.Hidden)
				if most := (before*8 + 5) / 6; !found || len(start) > most {
					t.Errorf("%d bytes before, %d after: %s shows as %s", before, after, text, got)
				}
				if most := (after*8+5)/6 + 3; after == 0 && end != "" || len(end) > most {
					t.Errorf("%d bytes before, %d after: %s shows as %s", before, after, text, got)
				}
			}
		}
	}
}

// TestWrapped hides what base64 and openssl print, 76 and 64 characters a line.
func TestWrapped(t *testing.T) {
	t.Parallel()
	value := strings.Repeat("a long key of many bytes; ", 20)
	m := newMasker(t, value)
	for _, width := range []int{64, 76} {
		text, want := base64.StdEncoding.EncodeToString([]byte(value)), ""
		for len(text) > width {
			want += text[:width] + "\n"
			text = text[width:]
		}
		want += text + "\n"
		if got := strings.Trim(m.Text(want), "*\n"); got != "" {
			t.Errorf("at width %d shows %q", width, got)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		values []string
		want   error
	}{
		{"empty", []string{""}, mask.ErrShort},
		{"short", []string{"long enough", "abc"}, mask.ErrShort},
		{"short but for its line break", []string{"abc\r\n"}, mask.ErrShort},
		{"line breaks alone", []string{"\n\n\n\n\r\n\r\n"}, mask.ErrShort},
		{"just long enough", []string{"abcd", "é€", "    "}, nil},
		{"short lines alone", []string{"ab\ncd"}, nil},
		{"one large", []string{strings.Repeat("x", mask.MaxValues+1)}, mask.ErrLarge},
		{"large together", []string{strings.Repeat("x", mask.MaxValues), "some"}, mask.ErrLarge},
		{"large in its forms", []string{numbered("\"é<>&'+%d\"é<>&'+\n", mask.MaxValues)}, mask.ErrLarge},
		{"large, but the same again and again", []string{strings.Repeat("\"é<", mask.MaxValues/4)}, nil},
		{"as large as may be", []string{strings.Repeat("x", mask.MaxValues)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := mask.New(tt.values...)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "abc") {
				t.Errorf("error shows a value: %v", err)
			}
		})
	}
}

// numbered returns size bytes of what format makes of the numbers from 1 on.
func numbered(format string, size int) string {
	var b strings.Builder
	for i := 1; b.Len() < size; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()[:size]
}

// TestKey builds what a private key of 50 lines needs.
func TestKey(t *testing.T) {
	t.Parallel()
	var key strings.Builder
	for i := range 50 {
		fmt.Fprintf(&key, "%064x\n", i*i*i+1)
	}
	m := newMasker(t, key.String())
	if got, most := m.Size(), 256<<10; got > most {
		t.Errorf("a key takes %d bytes, want at most %d", got, most)
	}
	if got := strings.Trim(m.Text(key.String()), "*\n"); got != "" {
		t.Errorf("shows %q", got)
	}
}

func TestMaskerPrintsNoValue(t *testing.T) {
	t.Parallel()
	m := newMasker(t, "sluice")
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if got, want := fmt.Sprintf(format, m), mask.Hidden; got != want {
			t.Errorf("%s: got %s, want %s", format, got, want)
		}
	}
}

func TestWith(t *testing.T) {
	t.Parallel()
	one := newMasker(t, "sluice")
	two, err := one.With("millstone")
	if err != nil {
		t.Fatal(err)
	}
	const text = "sluice, millstone"
	if got, want := one.Text(text), "***, millstone"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := two.Text(text), "***, ***"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
