package triggers_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/triggers"
)

// sayYes and sayNo try a check on what it must accept and refuse.
func sayYes(t *testing.T, check func(string) error, all ...string) {
	t.Helper()
	for _, s := range all {
		if err := check(s); err != nil {
			t.Errorf("%.60q: %v", s, err)
		}
	}
}

func sayNo(t *testing.T, check func(string) error, all ...string) {
	t.Helper()
	for _, s := range all {
		if check(s) == nil {
			t.Errorf("%.60q is accepted", s)
		}
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	sayYes(t, triggers.CheckName, "shop/api", "shop/.github", "a/b/c", "A_1/x.y-z", "shop/"+strings.Repeat("n", 250))
	sayNo(t, triggers.CheckName, "", "/", "shop", "shop/", "/api", "shop//api", "shop/..", "shop/.", "../api", "shop/a..b", "shop/-rf", "-x/api",
		"shop/a b", "shop/a\n", "shop/a%2e", "shop/api?x", "shop/ä", `shop\api`, "shop/"+strings.Repeat("n", 251))
}

func TestCheckFlatName(t *testing.T) {
	t.Parallel()
	sayYes(t, triggers.CheckFlatName, "shop/api")
	sayNo(t, triggers.CheckFlatName, "", "shop", "a/b/c", "shop/..", "shop/a b")
}

func TestCheckRef(t *testing.T) {
	t.Parallel()
	sayYes(t, triggers.CheckRef, "main", "feature/x-1", `zzz";echo${IFS}"hello";#`, "ü", "a/-b", "v1.0", "a@b",
		strings.Repeat("n", 63), strings.Repeat("n", 64), strings.Repeat("n", 253))
	sayNo(t, triggers.CheckRef, "", "-x", "--upload-pack=x", "..", "a..b", "a/../../x", "/a", "a/", "a//b", ".a", "a/.b", "a.", "a.lock", "a.lock/b",
		"a b", "a~1", "a^", "a:b", "a?", "a*", "a[b", `a\b`, "a\x00", "a\n", "a\x7f", "@", "a@{1}", strings.Repeat("n", 256))
}

func TestCheckCommit(t *testing.T) {
	t.Parallel()
	sayYes(t, triggers.CheckCommit, strings.Repeat("a", 40), strings.Repeat("09af", 16))
	sayNo(t, triggers.CheckCommit, "", "main", strings.Repeat("a", 39), strings.Repeat("a", 41), strings.Repeat("A", 40), strings.Repeat("g", 40),
		strings.Repeat("0", 40), strings.Repeat("0", 64), "-"+strings.Repeat("a", 39))
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	sayYes(t, triggers.CheckURL, "https://git.example.com", "http://127.0.0.1:3000", "https://example.com/gitea", "https://host/api/v3")
	sayNo(t, triggers.CheckURL, "", "git.example.com", "file:///etc", "ext::sh", "ssh://git@host", "https://", "https://u:p@host", "https://host?x", "https://host#x", "https://ho st")
	if err := triggers.CheckURL("https://u:hush@host"); strings.Contains(err.Error(), "hush") {
		t.Errorf("the error tells a password: %v", err)
	}
}

func TestHeadingCheck(t *testing.T) {
	t.Parallel()
	if err := (triggers.Heading{Kind: "push", Key: "u"}).Check("E", "D"); err != nil {
		t.Error(err)
	}
	for _, h := range []triggers.Heading{{}, {Kind: "push"}, {Key: "u"}, {Kind: "a b", Key: "u"}, {Kind: "push", Key: strings.Repeat("u", 129)}, {Kind: "push", Key: "u", Hook: "/"}} {
		if err := h.Check("E", "D"); !errors.Is(err, triggers.ErrHeading) {
			t.Errorf("%.60v: got %v, want %v", h, err, triggers.ErrHeading)
		}
	}
}

func FuzzCheckShape(f *testing.F) {
	f.Add([]byte(`{"a":["x\"",null,{"b":[1]}]}`))
	f.Add([]byte(`]}"\`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if err := triggers.CheckShape(body); err != nil && len(body) < 10_000 {
			t.Errorf("%d bytes refused: %v", len(body), err)
		}
	})
}

func TestCheckShape(t *testing.T) {
	t.Parallel()
	check := func(body string) error { return triggers.CheckShape([]byte(body)) }
	list := func(element string, n int) string { return "[" + strings.Repeat(element+",", n-1) + element + "]" }
	sayYes(t, check, "", "nonsense", "]]]}}}", `"`, `"\`, list("null", 10_000), list(`"null"`, 100_000), list(`"\"[{"`, 100_000),
		`{"a":`+strings.Repeat("n", 100_000)+"}")
	sayNo(t, check, list("null", 10_001), list("{}", 10_001), list("[]", 10_001), list("7", 10_001), list("true", 10_001), list("false", 10_001),
		list(`{"a":`+list("null", 100)+`}`, 101), strings.Repeat("[", 10_001), strings.Repeat(`{"a":`, 10_002))
}
