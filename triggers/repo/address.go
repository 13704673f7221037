package repo

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// address is where a repository is, without credentials.
type address struct {
	scheme, user, host, path string // host without brackets; user for ssh only
	port                     int    // 0: the scheme's own
}

// parseAddress takes what we are willing to ask. What it refuses it does not repeat: there may be a password in it.
func parseAddress(raw string) (address, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return address{}, fmt.Errorf("%w: the repository's address is no URL", ErrUnsupported)
	}
	_, hasPassword := u.User.Password()
	web := u.Scheme == "http" || u.Scheme == "https"
	switch {
	case !web && u.Scheme != "ssh":
		return address{}, fmt.Errorf("%w: the repository's address is not a URL of http, https or ssh", ErrUnsupported)
	case hasPassword || web && u.User != nil:
		return address{}, fmt.Errorf("%w: credentials in the repository's address: configure them apart from it", ErrUnsupported)
	case u.Hostname() == "" || u.Opaque != "" || strings.Trim(u.Path, "/") == "":
		return address{}, fmt.Errorf("%w: the repository's address lacks a host or a path", ErrUnsupported)
	case u.RawQuery != "" || u.Fragment != "":
		return address{}, fmt.Errorf("%w: the repository's address has a query or a fragment", ErrUnsupported)
	case strings.ContainsFunc(u.Path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return address{}, fmt.Errorf("%w: the repository's address holds control characters", ErrUnsupported)
	}
	a := address{scheme: u.Scheme, user: u.User.Username(), host: strings.ToLower(u.Hostname()), path: u.Path}
	if web {
		a.path = strings.TrimSuffix(u.EscapedPath(), "/")
	}
	if p := u.Port(); p != "" {
		if a.port, err = strconv.Atoi(p); err != nil || a.port < 1 || a.port > 65535 {
			return address{}, fmt.Errorf("%w: the repository's address has no usable port", ErrUnsupported)
		}
	}
	return a, nil
}

// endpoint is the address in go-git's words. Credentials travel apart from it, so that no error can show them.
func (a address) endpoint() *transport.Endpoint {
	host := a.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return &transport.Endpoint{Protocol: a.scheme, User: a.user, Host: host, Port: a.port, Path: a.path}
}

func (a address) String() string { return a.endpoint().String() }

// parseCommit reads a commit's id.
func parseCommit(s string) (plumbing.Hash, error) {
	h := plumbing.NewHash(s)
	switch {
	case len(s) == 64:
		return h, fmt.Errorf("%w: %.12s is a commit of a SHA-256 repository, only SHA-1 can be read", ErrUnsupported, s)
	case h.IsZero() || h.String() != s:
		return h, fmt.Errorf("%w: %.64q is not a commit's id", ErrUnsupported, s)
	}
	return h, nil
}
