package repo

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/millrace-ci/millrace/triggers"
)

// session is what we need of transport.UploadPackSession: the refs once, then any number of packs.
type session interface {
	AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error)
	UploadPack(context.Context, *packp.UploadPackRequest) (*packp.UploadPackResponse, error)
	Close() error
}

// errWithheld means that the server does not give out an object by its id.
var errWithheld = errors.New("the server does not give it out")

type wanted struct {
	ref    string
	commit plumbing.Hash
}

// fetch is one reading of one commit.
type fetch struct {
	cfg    Config
	from   address
	access triggers.Access
	wanted wanted

	wire    wire
	session session
	caps    *capability.List
}

// run asks for the commit and its trees, looks up which files are wanted, and asks for those that did not come along.
func (f *fetch) run(ctx context.Context) (definitions, error) {
	f.wire = wire{base: f.cfg.Transport, limit: f.cfg.MaxPackBytes}
	if err := f.open(ctx); err != nil {
		return definitions{}, err
	}
	defer f.session.Close()
	if err := f.greet(ctx); err != nil {
		return definitions{}, err
	}
	p, err := f.pack(ctx, f.commitRequest(f.filters()))
	if errors.Is(err, errWithheld) {
		return definitions{}, f.withheld("")
	} else if err != nil {
		return definitions{}, err
	}
	defer p.Close()
	l, err := newListing(p, f.wanted.commit, f.cfg.MaxFiles)
	if err != nil {
		return definitions{}, err
	}
	missing, err := l.fill(p, f.cfg.MaxFileBytes)
	if err == nil && len(missing) > 0 {
		err = f.fill(ctx, &l, missing)
	}
	return l.definitions(), err
}

// fill asks for the files themselves, and where the server does not give them out for the commit with all its files.
func (f *fetch) fill(ctx context.Context, l *listing, missing []plumbing.Hash) error {
	p, err := f.pack(ctx, f.request(missing...))
	if errors.Is(err, errWithheld) {
		p, err = f.pack(ctx, f.commitRequest(false))
	}
	if err != nil {
		return err
	}
	defer p.Close()
	_, err = l.fill(p, f.cfg.MaxFileBytes)
	return err
}

func (f *fetch) open(ctx context.Context) (err error) {
	if f.from.scheme == "ssh" {
		if f.cfg.SSH == nil {
			return fmt.Errorf("%w: no ssh key is configured: use the repository's https address", ErrUnsupported)
		}
		f.session, err = dial(ctx, f.from, f.cfg.SSH, &f.wire)
		return err
	}
	var auth transport.AuthMethod
	if f.access.Username != "" || f.access.Password != "" {
		auth = &githttp.BasicAuth{Username: f.access.Username, Password: string(f.access.Password)}
	}
	client := githttp.NewClient(&http.Client{Transport: &f.wire, CheckRedirect: f.wire.follow})
	f.session, err = client.NewUploadPackSession(f.from.endpoint(), auth)
	return err
}

// greet reads what the server can do, and finds out whether it can be asked for the commit.
func (f *fetch) greet(ctx context.Context) error {
	adv, err := f.session.AdvertisedReferencesContext(ctx)
	switch {
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fmt.Errorf("%w: the repository is empty", ErrNotFound)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return fmt.Errorf("%w: there is no such repository", ErrNotFound)
	case err != nil:
		return err
	}
	f.caps = adv.Capabilities
	if !f.caps.Supports(capability.Shallow) {
		return fmt.Errorf("%w: the server cannot send a single commit (it lacks shallow fetches)", ErrUnsupported)
	}
	if !f.byID() && !advertised(adv, f.wanted.commit) {
		now := ""
		if tip, ok := adv.References[f.wanted.ref]; ok {
			now = fmt.Sprintf(", %s is at %.12s now", f.wanted.ref, tip)
		}
		return f.withheld(now)
	}
	return nil
}

func (f *fetch) withheld(more string) error {
	return fmt.Errorf("%w: the server does not give out this commit%s: it was rewritten or deleted, or the server must allow it (uploadpack.allowReachableSHA1InWant)",
		ErrNotFound, more)
}

// byID tells whether the server may be asked for what is not the tip of a ref. Over http git's own and JGit give out
// what is reachable, whatever they announce, since a ref may move between the two requests of a fetch.
func (f *fetch) byID() bool {
	return f.from.scheme != "ssh" || f.caps.Supports(capability.AllowReachableSHA1InWant)
}

// filters tells whether to leave files out at first: only where we may hope to get them afterwards.
func (f *fetch) filters() bool { return f.caps.Supports(capability.Filter) && f.byID() }

func advertised(adv *packp.AdvRefs, h plumbing.Hash) bool {
	for _, refs := range []map[string]plumbing.Hash{adv.References, adv.Peeled} {
		for _, tip := range refs {
			if tip == h {
				return true
			}
		}
	}
	return adv.Head != nil && *adv.Head == h
}

// commitRequest asks for the commit alone, without its parents, and where filtered without its files.
func (f *fetch) commitRequest(filtered bool) *packp.UploadPackRequest {
	req := f.request(f.wanted.commit)
	req.Depth = packp.DepthCommits(1)
	set(req, capability.Shallow)
	if filtered {
		req.Filter = packp.FilterBlobNone()
		set(req, capability.Filter) // git refuses a filter line that was not announced.
	}
	return req
}

func (f *fetch) request(wants ...plumbing.Hash) *packp.UploadPackRequest {
	req := packp.NewUploadPackRequestFromCapabilities(f.caps)
	req.Wants = wants
	if f.caps.Supports(capability.NoProgress) {
		set(req, capability.NoProgress)
	}
	return req
}

// set cannot fail: none of the capabilities that we set takes an argument.
func set(req *packp.UploadPackRequest, c capability.Capability) { _ = req.Capabilities.Set(c) }

// pack makes one request and reads the pack that it brings.
func (f *fetch) pack(ctx context.Context, req *packp.UploadPackRequest) (*pack, error) {
	res, err := f.session.UploadPack(ctx, req)
	if err != nil {
		// git says the first, JGit the second; go-git hands on no more than the text.
		if text := err.Error(); strings.Contains(text, "not our ref") || strings.Contains(text, "not valid") {
			return nil, errWithheld
		}
		return nil, err
	}
	defer res.Close()
	return readPack(demultiplex(req, res), f.limits(ctx), f.cfg.TempDir)
}

func (f *fetch) limits(ctx context.Context) limits {
	// Source code packs about 5:1; an answer that unpacks to more than 8 times its cap was made to.
	most := 8 * f.cfg.MaxPackBytes
	return limits{objects: f.cfg.MaxObjects, inflated: most, patched: most, live: 3 * maxObject, alive: ctx.Err}
}

func demultiplex(req *packp.UploadPackRequest, res io.Reader) io.Reader {
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, res)
	case req.Capabilities.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, res)
	default:
		return res
	}
}

// explain gives an error of run its cause, and takes out of its text whatever a server may have put there.
func (f *fetch) explain(ctx context.Context, err error) error {
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		err = fmt.Errorf("the server took longer than %s: %w", f.cfg.Timeout, ctx.Err())
	case ctx.Err() != nil:
		err = ctx.Err()
	case f.wire.err != nil:
		err = f.wire.err
	}
	if errors.Is(err, ErrTooLarge) && f.caps != nil && !f.filters() {
		err = fmt.Errorf("%w: the server would send less if it could filter (uploadpack.allowFilter)", err)
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, err.Error())
	if secret := string(f.access.Password); secret != "" {
		basic := base64.StdEncoding.EncodeToString([]byte(f.access.Username + ":" + secret)) // As the server was sent it.
		text = strings.NewReplacer(secret, "***", basic, "***").Replace(text)
	}
	if len(text) > 500 {
		text = strings.ToValidUTF8(text[:500], "") + " ..."
	}
	return &explained{text, err}
}

// explained is an error that may be shown.
type explained struct {
	text  string
	cause error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.cause }
