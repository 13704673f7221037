package param_test

import (
	"path"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/agent/param"
)

// formed is a declaration of a text, or of a list, of this form.
func formed(f param.Form, typ param.Type, options ...string) param.Decl {
	return param.Decl{Name: "P", Type: typ, Use: param.UseTemplate, Form: f, Options: options}
}

func TestForms(t *testing.T) {
	t.Parallel()
	tests := map[param.Form]struct{ yes, no []string }{
		param.FormPath: {
			[]string{".", "Dockerfile", "deploy/Docker file", "..a/b", "a..b", "ü"},
			[]string{"/etc", "..", "../x", "a/../..", "a//b", "./a", "a/", "http://x/y", "a\nb", "a\x00", strings.Repeat("x", 1025)},
		},
		param.FormName:     {[]string{"api", "a-1.b", "0"}, []string{"-a", "a-", "API", "a_b", "a..b", "a b", "a/b", strings.Repeat("a", 64)}},
		param.FormQuantity: {[]string{"1", "500m", "1.5", "2Gi", "100M"}, []string{"-1", "1 Gi", "Gi", "1e3x", "0x10", "1Xi"}},
		param.FormDuration: {[]string{"90s", "1h30m", "336h"}, []string{"5", "1d", "-1s", "1.5h", "m"}},
		param.FormCount:    {[]string{"0", "3", "9999"}, []string{"-1", "1.5", "10000"}},
		param.FormImage: {
			[]string{"api", "golang:1.26", "registry.example.com:5000/shop/api:v1", "a/b@sha256:" + strings.Repeat("0", 64), "a/b:v1@sha256:" + strings.Repeat("f", 64), "127.0.0.1:5000/a"},
			[]string{"-x", "a b", "A/B/c:", "a:", "a@b", "https://a/b", "a/b:v1;id", "a/../b", "a:" + strings.Repeat("x", 129)},
		},
		param.FormRepository: {[]string{"api", "shop/api", "localhost:5000/api", "registry.example.com/shop/api__x.y-z"}, []string{"shop/api:v1", "shop/api@sha256:00", "Shop", "shop//api", "/api", "shop/", "--x"}},
		param.FormTag:        {[]string{"latest", "v1.2-rc.1", "_x"}, []string{".a", "-a", "a b", "a/b", "a:b", strings.Repeat("a", 129)}},
		param.FormHost:       {[]string{"registry.local", "registry.local:5000", "127.0.0.1:5000"}, []string{"https://x", "x/y", "x:", "-x", "x y", "a=b"}},
		param.FormAssignment: {[]string{"api=shop/api:v2", "a=b"}, []string{"api", "=b", "A=b", "a=b\nc=d", "a=b c=d", "a.b=c"}},
	}
	for f, tc := range tests {
		d := formed(f, param.Text)
		for _, s := range tc.yes {
			if _, err := d.Check(param.TextValue(s)); err != nil {
				t.Errorf("%s: %v", f, err)
			}
		}
		for _, s := range tc.no {
			if _, err := d.Check(param.TextValue(s)); err == nil {
				t.Errorf("%s: %q is taken", f, s)
			}
		}
	}
}

func TestFormMessages(t *testing.T) {
	t.Parallel()
	text := param.TextValue
	list := func(items ...param.Value) param.Value { return param.Value{List: items} }
	flags := formed(param.FormFlag, param.List, "--cleanup", "--retry")
	tests := map[string]struct {
		decl  param.Decl
		value param.Value
		want  string
	}{
		"a text":        {formed(param.FormPath, param.Text), text("../x"), "parameter `P` takes a path inside the repository, not \"../x\""},
		"an item":       {formed(param.FormTag, param.List), list(text("v1"), text("a b")), "parameter `P` takes a list, each item of it a tag of an image, not \"a b\""},
		"a number":      {formed(param.FormCount, param.Number), text("1.5"), "parameter `P` takes a whole number from 0, not \"1.5\""},
		"another flag":  {flags, list(text("--retry=3"), text("--kaniko-dir=/x")), "parameter `P` takes a list of --cleanup, --retry, not \"--kaniko-dir=/x\""},
		"no flag":       {flags, list(text("-v")), "parameter `P` takes a list, each item of it a flag such as --name=value, not \"-v\""},
		"half a flag":   {flags, list(text("--retr")), "parameter `P` takes a list of --cleanup, --retry, not \"--retr\""},
		"two in one":    {flags, list(text("--cleanup --x=y")), "parameter `P` takes a list, each item of it a flag such as --name=value, not \"--cleanup --x=y\""},
		"flags":         {flags, list(text("--cleanup"), text("--retry=3")), ""},
		"nothing":       {formed(param.FormTag, param.Text), text(""), ""},
		"nothing in it": {formed(param.FormTag, param.List), list(text("")), ""},
	}
	for name, tc := range tests {
		_, err := tc.decl.Check(tc.value)
		if got := message(err); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// FuzzForms holds that what has a form can stand where it is put: a path leads nowhere else, and no other form begins
// another argument or holds a blank.
func FuzzForms(f *testing.F) {
	f.Add("../x")
	f.Add("registry.example.com:5000/shop/api:v1")
	f.Add("api=shop/api@sha256:00")
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := formed(param.FormPath, param.Text).Check(param.TextValue(s)); err == nil && s != "" {
			if joined := path.Join("/workspace", s); joined != "/workspace" && !strings.HasPrefix(joined, "/workspace/") {
				t.Errorf("%q leads to %s", s, joined)
			}
		}
		for _, form := range []param.Form{param.FormName, param.FormQuantity, param.FormDuration, param.FormCount, param.FormImage, param.FormRepository, param.FormTag, param.FormHost, param.FormAssignment} {
			_, err := formed(form, param.Text).Check(param.TextValue(s))
			if err == nil && s != "" && (s[0] == '-' || strings.ContainsAny(s, " \t\r\n\x00'\"`$;&|<>\\")) {
				t.Errorf("%s takes %q", form, s)
			}
		}
	})
}
