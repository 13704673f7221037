package triggers

import (
	"fmt"
	"net/url"
	"strings"
)

// MaxName bounds, in bytes, a repository's, branch's or tag's name.
const MaxName = 255

// maxHeading bounds, in bytes, each word of a heading.
const maxHeading = 128

// CheckName tells whether name is a repository's: two or more segments of [A-Za-z0-9._-] with slashes between them.
// None begins with '-' or is made of dots only, so that it can stand in a path, a URL or a command line as it is.
func CheckName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("repository name of %d bytes, want 1 to %d", len(name), MaxName)
	}
	segments := strings.Split(name, "/")
	if len(segments) < 2 {
		return fmt.Errorf("repository name %q, want owner/name", name)
	}
	for _, s := range segments {
		if s == "" || s[0] == '-' || strings.Trim(s, ".") == "" || strings.Contains(s, "..") || !onlyWord(s) {
			return fmt.Errorf("repository name %q: impossible segment %q", name, s)
		}
	}
	return nil
}

// CheckFlatName tells whether name is owner/name, as CheckName has it: a repository's where groups are not nested.
func CheckFlatName(name string) error {
	if strings.Count(name, "/") != 1 {
		return fmt.Errorf("repository name %.80q, want owner/name", name)
	}
	return CheckName(name)
}

func onlyWord(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// CheckRef tells whether name can be a branch or tag, without refs/heads/ or refs/tags/: the rules of
// git-check-ref-format(1), a bound on its length, and no leading '-'. Anything else may stand in it, quotes and
// semicolons too: a ref is data, and never part of a command line.
func CheckRef(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("ref name of %d bytes, want 1 to %d", len(name), MaxName)
	}
	bad := name[0] == '-' || name == "@" || strings.HasSuffix(name, ".") ||
		strings.Contains(name, "..") || strings.Contains(name, "@{") ||
		strings.ContainsAny(name, " ~^:?*[\\\x7f") || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' })
	for s := range strings.SplitSeq(name, "/") {
		bad = bad || s == "" || s[0] == '.' || strings.HasSuffix(s, ".lock")
	}
	if bad {
		return fmt.Errorf("ref name %q is not one that git allows", name)
	}
	return nil
}

// SplitRef returns the branch or the tag that a whole ref names; both are "" if it is neither.
func SplitRef(ref string) (branch, tag string) {
	if b, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		return b, ""
	}
	if t, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		return "", t
	}
	return "", ""
}

// CheckCommit tells whether id is the whole id of a commit: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits, not all
// of them zero.
func CheckCommit(id string) error {
	if len(id) != 40 && len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" {
		return fmt.Errorf("commit %.80q, want 40 or 64 lower-case hex digits", id)
	}
	if ZeroCommit(id) {
		return fmt.Errorf("commit %q is no commit", id)
	}
	return nil
}

// ZeroCommit tells whether id is the all-zero id by which forges say 'none'.
func ZeroCommit(id string) bool {
	return (len(id) == 40 || len(id) == 64) && strings.Trim(id, "0") == ""
}

// Check tells whether the heading says what and which it is, in words of bounded length. kind and key are the headers
// that it was read from. Errors: ErrHeading.
func (h Heading) Check(kind, key string) error {
	for _, word := range []struct {
		header, value string
		needed        bool
	}{{kind, h.Kind, true}, {key, h.Key, true}, {"hook id", h.Hook, false}} {
		switch {
		case word.value == "" && word.needed:
			return fmt.Errorf("%w: no %s header; is this address the hook's?", ErrHeading, word.header)
		case len(word.value) > maxHeading || !onlyWord(word.value):
			return fmt.Errorf("%w: %s is %.80q, want at most %d of [A-Za-z0-9._-]", ErrHeading, word.header, word.value, maxHeading)
		}
	}
	return nil
}

// CheckURL tells whether address is an absolute http or https URL without user, query or fragment, as a forge's
// configured address must be.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return fmt.Errorf("url cannot be read: want https://host")
	case u.User != nil:
		return fmt.Errorf("url holds a user or password: put the token in token or token_file")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.RawQuery != "", u.Fragment != "":
		return fmt.Errorf("url %q, want https://host or http://host", address)
	}
	return nil
}
