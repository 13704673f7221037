// Package repo reads the pipeline files of a repository at a commit, and which refs it has. The planner calls it for every
// event, and the look for missed pushes in each round; it speaks git's own protocol through go-git's transport and asks
// for as little as the server lets it: one commit, its trees, and the few files that it wants. It keeps what it read in
// memory, bounded by bytes, and trusts nothing it is sent. It never clones, never writes to a repository, and does not
// know what a pipeline file means.
package repo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/millrace-ci/millrace/triggers"
)

// Errors of Definitions, wrapped. ErrUnsupported, ErrTooLarge and ErrHostile are triggers.ErrPermanent: asking again
// gives the same answer. The others may pass, as any error without a sentinel (the network, a server that is down): a
// server that has not all its replicas up to date does not have a commit yet, and an operator mends a token.
var (
	// ErrUnsupported means that we do not ask, or cannot: an address that is not http, https or ssh, a redirect to
	// another host, a commit that is not a SHA-1, a server without shallow fetches.
	ErrUnsupported error = permanent("not supported")
	// ErrNotFound means that there is no such repository, or that the server does not give out the commit.
	ErrNotFound = errors.New("not found")
	// ErrDenied means that the server wants other credentials.
	ErrDenied = errors.New("access denied")
	// ErrTooLarge means that the answer is larger than Config allows.
	ErrTooLarge error = permanent("too large")
	// ErrHostile means that the answer is no sound git pack: corrupt, or made to do harm.
	ErrHostile error = permanent("unsound pack")
)

// permanent is an error that is triggers.ErrPermanent too.
type permanent string

func (p permanent) Error() string { return string(p) }

// Is makes errors.Is find triggers.ErrPermanent.
func (p permanent) Is(target error) bool { return target == triggers.ErrPermanent }

// Config bounds what a Reader does. The zero value is the default of every field.
type Config struct {
	CacheBytes   int64         // of kept definitions; default 32 MiB
	MaxPackBytes int64         // of one answer of a server, as it comes over the wire; default 128 MiB
	MaxObjects   int           // in one pack; default 500 000
	MaxFileBytes int64         // of one definition; default 256 KiB
	MaxFiles     int           // definitions in one commit; default 100
	MaxRefs      int           // branches and tags of one repository; default 100 000
	Timeout      time.Duration // of all requests for one commit together; default 30 s
	TempDir      string        // where a pack lies while it is read, as a file without a name; default os.TempDir

	Transport http.RoundTripper // default http.DefaultTransport; it must not follow redirects itself
	// SSH is how to log in over ssh and which host keys to believe; the user of the URL, if any, takes precedence over its
	// User. Default: ssh addresses are refused.
	SSH *ssh.ClientConfig
	Log *slog.Logger // default: silent
}

func (c Config) withDefaults() Config {
	orInt := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	orInt(&c.CacheBytes, 32<<20)
	orInt(&c.MaxPackBytes, 128<<20)
	orInt(&c.MaxFileBytes, 256<<10)
	if c.MaxObjects == 0 {
		c.MaxObjects = 500_000
	}
	if c.MaxFiles == 0 {
		c.MaxFiles = 100
	}
	if c.MaxRefs == 0 {
		c.MaxRefs = 100_000
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Reader reads definitions. It is safe for concurrent use, and holds no connection, file or goroutine between calls.
type Reader struct {
	cfg     Config
	cache   *cache
	flights flights
}

// New makes a Reader. It does no I/O.
func New(cfg Config) *Reader {
	cfg = cfg.withDefaults()
	return &Reader{cfg: cfg, cache: newCache(cfg.CacheBytes), flights: flights{m: map[key]*flight{}}}
}

// key names what is read. It holds no credentials: who may call Definitions may read whatever this process has read.
type key struct{ url, commit string }

// definitions is what a commit holds.
type definitions struct {
	files []triggers.File
	bad   []triggers.Unreadable
}

// Definitions returns the pipeline files of the repository at the commit: `.millrace.yaml` and every
// `.millrace/*.yaml`, each a pipeline, sorted by path. Subfolders and names that begin with a dot are left out. None is
// no error. A file that cannot be given (a symbolic link, a submodule, too long) is in bad, likewise sorted, and does
// not hold up the others. The results are shared: nobody changes them.
//
// For a commit that is known already there is no request, and callers who ask for the same commit at the same time
// share one reading, with the credentials of the first; one who goes away does not end it for the rest. Otherwise, over
// http, one GET of the refs (git's handshake) and at most two POSTs: the commit with its trees, and the files. A server
// without filters is asked once, for the commit with all its files. A server that filters but does not give out files
// by their id is asked a third time, without a filter. Over ssh each request is a session on one connection.
//
// Errors: ErrUnsupported, ErrNotFound, ErrDenied, ErrTooLarge, ErrHostile, ctx's. They name the repository, never the
// credentials.
func (r *Reader) Definitions(ctx context.Context, access triggers.Access, at triggers.At) (files []triggers.File, bad []triggers.Unreadable, err error) {
	from, err := parseAddress(access.URL)
	if err != nil {
		return nil, nil, fmt.Errorf("read definitions: %w", err)
	}
	want, err := parseCommit(at.Commit)
	if err != nil {
		return nil, nil, fmt.Errorf("read definitions of %s: %w", from, err)
	}
	k := key{from.String(), at.Commit}
	if d, ok := r.cache.get(k); ok {
		return d.files, d.bad, nil
	}
	d, err := r.flights.do(ctx, k, func(ctx context.Context) (definitions, error) {
		if d, ok := r.cache.get(k); ok { // Somebody landed between our look and our start.
			return d, nil
		}
		return r.read(ctx, from, access, wanted{ref: at.Ref, commit: want})
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read definitions of %s at %.12s: %w", from, at.Commit, err)
	}
	return d.files, d.bad, nil
}

// read asks the server and keeps the answer.
func (r *Reader) read(ctx context.Context, from address, access triggers.Access, w wanted) (definitions, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	start := time.Now()
	f := &fetch{cfg: r.cfg, from: from, access: access, wanted: w}
	d, err := f.run(ctx)
	if err != nil {
		return definitions{}, f.explain(ctx, err)
	}
	r.cfg.Log.DebugContext(ctx, "read definitions", "repo", from.String(), "commit", w.commit.String(),
		"files", len(d.files), "requests", f.wire.requests, "bytes", f.wire.bytes, "took", time.Since(start))
	r.cache.put(key{from.String(), w.commit.String()}, d)
	return d, nil
}
