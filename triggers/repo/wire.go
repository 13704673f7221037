package repo

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// maxRefsBytes bounds the list of refs that a server begins with: about 200 000 of them. It is held in memory.
const maxRefsBytes = 16 << 20

// wire watches over what one reading sends and is sent: it counts, bounds each answer, and turns an answer that is no
// git into an error before anything parses it. go-git drops the causes of some errors, so it keeps the first.
type wire struct {
	base     http.RoundTripper
	limit    int64 // of one answer, in bytes
	requests int
	bytes    int64
	err      error
}

// RoundTrip makes one request. It refuses what is not an answer of git's smart HTTP protocol.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	w.requests++
	res, err := w.base.RoundTrip(req)
	if err != nil {
		return nil, w.fail(err)
	}
	if !redirects(res) { // Where to, follow judges.
		if err := judge(req, res); err != nil {
			res.Body.Close()
			return nil, w.fail(err)
		}
	}
	limit := w.limit
	if req.Method == http.MethodGet {
		limit = min(limit, maxRefsBytes)
	}
	res.Body = body{w.bounded(res.Body, limit), res.Body}
	return res, nil
}

// body is an answer. Closing it reads what little is left, so that its connection serves the next request too.
type body struct {
	io.Reader
	closer io.Closer
}

func (b body) Close() error {
	_, _ = io.CopyN(io.Discard, b, 4<<10)
	return b.closer.Close()
}

// redirects tells whether http.Client will go elsewhere instead of handing on the answer.
func redirects(res *http.Response) bool {
	switch res.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return res.Header.Get("Location") != ""
	}
	return false
}

// judge tells an answer of git from anything else. The body is not looked at: whoever wrote it does not write our errors.
func judge(req *http.Request, res *http.Response) error {
	status := fmt.Sprintf("the server answered %d %s", res.StatusCode, http.StatusText(res.StatusCode))
	limited := res.Header.Get("Retry-After") != "" // GitHub answers 403 to those who ask too often.
	switch {
	case res.StatusCode == http.StatusUnauthorized, res.StatusCode == http.StatusForbidden && !limited:
		return fmt.Errorf("%w: %s: check that the forge's token may read this repository", ErrDenied, status)
	case res.StatusCode == http.StatusNotFound, res.StatusCode == http.StatusGone:
		return fmt.Errorf("%w: %s: the repository is gone, or the forge's token may not see it", ErrNotFound, status)
	case res.StatusCode != http.StatusOK:
		return errors.New(status)
	}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	want := "application/x-git-upload-pack-result"
	if req.Method == http.MethodGet {
		want = "application/x-git-upload-pack-advertisement"
	}
	if kind != want {
		return fmt.Errorf("%w: the server answered %q and not git's smart HTTP protocol: check the repository's address", ErrUnsupported, kind)
	}
	return nil
}

// follow lets a redirect lead to another path of the same host, or from http to https there, and nowhere else: a token
// is meant for the host that it was configured for.
func (w *wire) follow(req *http.Request, via []*http.Request) error {
	from, to := via[0].URL, req.URL
	upgrade := from.Scheme == "http" && to.Scheme == "https" && portOf(from) == "80" && portOf(to) == "443"
	same := from.Scheme == to.Scheme && portOf(from) == portOf(to)
	if !strings.EqualFold(from.Hostname(), to.Hostname()) || !same && !upgrade {
		return w.fail(fmt.Errorf("%w: the server redirects to %s://%s: if the forge has moved there, configure its new address",
			ErrUnsupported, to.Scheme, to.Host))
	}
	if base := path.Base(to.Path); base != "refs" {
		return w.fail(fmt.Errorf("%w: the server redirects to a page that is no git repository: check the forge's token", ErrDenied))
	}
	return nil
}

func portOf(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

func (w *wire) fail(err error) error {
	if w.err == nil {
		w.err = err
	}
	return err
}

// bounded reads from r until limit bytes have come, and then fails with ErrTooLarge.
func (w *wire) bounded(r io.Reader, limit int64) io.Reader {
	return &boundedReader{wire: w, r: r, limit: limit, left: limit}
}

type boundedReader struct {
	wire        *wire
	r           io.Reader
	limit, left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, b.wire.err
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	b.wire.bytes += int64(n)
	if b.left < 0 {
		return 0, b.wire.fail(fmt.Errorf("%w: the server's answer is longer than %d bytes", ErrTooLarge, b.limit))
	}
	if err != nil && err != io.EOF {
		_ = b.wire.fail(err) // Noted there.
	}
	return n, err
}
