package triggers_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/triggers"
)

// FuzzCheckRef has git judge what is a branch's name; we refuse some that it takes, and take none that it refuses.
func FuzzCheckRef(f *testing.F) {
	for _, name := range []string{"main", "a/b", `zzz";echo${IFS}"hello";#`, "ü", "\xff", "a.lock", "@", "-x", "a..b", "refs/heads/../../x", "\u2028", strings.Repeat("n", 255)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if triggers.CheckRef(name) != nil {
			return
		}
		if out, err := exec.CommandContext(t.Context(), "git", "check-ref-format", "--branch", name).CombinedOutput(); err != nil {
			t.Errorf("%q is taken, and git refuses it: %s", name, out)
		}
		if branch, tag := triggers.SplitRef("refs/heads/" + name); branch != name || tag != "" {
			t.Errorf("%q splits into %q and %q", name, branch, tag)
		}
	})
}

// FuzzCheckName holds that a repository's name can stand in a path, a URL and a command line.
func FuzzCheckName(f *testing.F) {
	for _, name := range []string{"shop/api", "a/b/c", "a/..", "../a", "a/-b", "a//b", "a/b?c", "a/b%2e", "a/.git"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if triggers.CheckName(name) != nil {
			return
		}
		if strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/") != "" || strings.Contains("/"+name+"/", "/../") ||
			strings.HasPrefix(name, "/") || strings.Contains("/"+name, "/-") || !strings.Contains(name, "/") {
			t.Errorf("%q is taken", name)
		}
	})
}

// FuzzVerify forges signatures.
func FuzzVerify(f *testing.F) {
	f.Add([]byte("{}"), strings.Repeat("0a", 32), "")
	f.Add([]byte("{}"), "", "7")
	f.Add([]byte{}, strings.Repeat("0", 64), strings.Repeat("9", 65))
	f.Add([]byte("{}"), "zz", "\x00")
	secrets := triggers.Secrets{{Value: "hush"}, {Value: ""}, {Value: "master", PerRepository: true}}
	f.Fuzz(func(t *testing.T, body []byte, signature, claim string) {
		if _, err := secrets.Verify(claim, triggers.SignedSHA256(body, signature)); err == nil {
			t.Errorf("%q is believed for %q", signature, body)
		}
	})
}
