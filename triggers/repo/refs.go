package repo

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/millrace-ci/millrace/triggers"
)

// Refs returns the commit of each branch and tag of the repository, by its whole ref: of an annotated tag the commit that
// it names. A repository without any has none, which is no error. Refs of other kinds, and those whose names are
// impossible, are left out. It makes one request, git's handshake, and keeps nothing; what the server lists is bounded by
// Config.MaxRefs and by 16 MiB. Errors are those of Definitions.
func (r *Reader) Refs(ctx context.Context, access triggers.Access) (map[string]string, error) {
	from, err := parseAddress(access.URL)
	if err != nil {
		return nil, fmt.Errorf("read refs: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	f := &fetch{cfg: r.cfg, from: from, access: access, wire: wire{base: r.cfg.Transport, limit: r.cfg.MaxPackBytes}}
	refs, err := f.refs(ctx)
	if err != nil {
		return nil, fmt.Errorf("read refs of %s: %w", from, f.explain(ctx, err))
	}
	return refs, nil
}

func (f *fetch) refs(ctx context.Context) (map[string]string, error) {
	if err := f.open(ctx); err != nil {
		return nil, err
	}
	defer f.session.Close()
	refs := map[string]string{}
	adv, err := f.session.AdvertisedReferencesContext(ctx)
	switch {
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return refs, nil
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return nil, fmt.Errorf("%w: there is no such repository", ErrNotFound)
	case err != nil:
		return nil, err
	}
	maps.Copy(adv.References, adv.Peeled)
	for ref, commit := range adv.References {
		if branch, tag := triggers.SplitRef(ref); triggers.CheckRef(branch+tag) != nil {
			continue
		}
		if len(refs) == f.cfg.MaxRefs {
			return nil, fmt.Errorf("%w: it has more than %d branches and tags", ErrTooLarge, f.cfg.MaxRefs)
		}
		refs[ref] = commit.String()
	}
	return refs, nil
}
