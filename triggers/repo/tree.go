package repo

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/millrace-ci/millrace/triggers"
)

// Where pipelines are.
const (
	single = ".millrace.yaml"
	folder = ".millrace"
	suffix = ".yaml"
)

// listing is the definitions of a commit as its trees name them.
type listing struct {
	leaves []leaf
	bad    []triggers.Unreadable
}

// leaf is one definition. data is nil until it was read.
type leaf struct {
	path string
	hash plumbing.Hash
	data []byte
}

// node is one entry of a tree.
type node struct {
	mode, name string
	hash       plumbing.Hash
}

// newListing finds the definitions of a commit.
func newListing(p *pack, commit plumbing.Hash, maxFiles int) (listing, error) {
	var l listing
	root, err := rootOf(p, commit)
	if err != nil {
		return l, err
	}
	err = each(p, root, func(n node) error {
		switch n.name {
		case single:
			l.add(n.name, n)
		case folder:
			return l.addFolder(p, n)
		}
		return nil
	})
	if err == nil && len(l.leaves)+len(l.bad) > maxFiles {
		err = fmt.Errorf("%w: %d pipeline files in one commit, more than %d", ErrTooLarge, len(l.leaves)+len(l.bad), maxFiles)
	}
	return l, err
}

func (l *listing) addFolder(p *pack, dir node) error {
	if dir.mode != modeTree {
		l.reject(dir.name, "is not a folder: put pipelines into files "+folder+"/NAME"+suffix)
		return nil
	}
	return each(p, dir.hash, func(n node) error {
		if n.mode != modeTree && strings.HasSuffix(n.name, suffix) && !strings.HasPrefix(n.name, ".") {
			l.add(folder+"/"+n.name, n)
		}
		return nil
	})
}

// The modes of a tree's entries: https://git-scm.com/docs/index-format. A file has several.
const (
	modeTree    = "40000"
	modeLink    = "120000"
	modeModule  = "160000"
	modeRegular = "100"
)

func (l *listing) add(path string, n node) {
	switch {
	case n.mode == modeLink:
		l.reject(path, "is a symbolic link: a pipeline must be a file of its own")
	case n.mode == modeModule:
		l.reject(path, "is a submodule: a pipeline must be a file of this repository")
	case !strings.HasPrefix(n.mode, modeRegular):
		l.reject(path, "is not a file")
	case !plain(n.name):
		l.reject(path, "has a name with characters that cannot be shown: rename it")
	default:
		l.leaves = append(l.leaves, leaf{path: path, hash: n.hash})
	}
}

func (l *listing) reject(path, reason string) {
	if !plain(path) {
		path = strconv.Quote(path)
	}
	l.bad = append(l.bad, triggers.Unreadable{Path: path, Reason: reason})
}

// plain tells whether a path can be shown as it is.
func plain(path string) bool {
	return len(path) <= 255 && utf8.ValidString(path) && !strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) })
}

// fill reads the definitions that p has, and returns the ids of those that it lacks.
func (l *listing) fill(p *pack, maxBytes int64) (missing []plumbing.Hash, err error) {
	keep := l.leaves[:0]
	for _, f := range l.leaves {
		if f.data != nil {
			keep = append(keep, f)
			continue
		}
		i, err := p.find(f.hash, plumbing.BlobObject)
		switch {
		case err != nil:
			return nil, err
		case i == none:
			missing = append(missing, f.hash)
		case p.entries[i].size > maxBytes:
			l.reject(f.path, fmt.Sprintf("has %d bytes: a pipeline may have %d", p.entries[i].size, maxBytes))
			continue
		default:
			if f.data, err = p.content(i); err != nil {
				return nil, err
			}
			f.data = append(make([]byte, 0, len(f.data)), f.data...) // No longer than it needs to be, and never nil.
		}
		keep = append(keep, f)
	}
	l.leaves = keep
	return missing, nil
}

// definitions is what was read. A file that the server did not send is bad.
func (l *listing) definitions() definitions {
	var d definitions
	for _, f := range l.leaves {
		if f.data == nil {
			l.reject(f.path, "was not sent by the server, or is too large")
			continue
		}
		d.files = append(d.files, triggers.File{Path: f.path, Data: f.data})
	}
	d.bad = l.bad
	slices.SortFunc(d.files, func(a, b triggers.File) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(d.bad, func(a, b triggers.Unreadable) int { return cmp.Compare(a.Path, b.Path) })
	return d
}

// rootOf returns the tree of a commit, or of the commit that a tag names.
func rootOf(p *pack, h plumbing.Hash) (plumbing.Hash, error) {
	const maxTags = 5 // A tag of a tag is rare, one of that is a joke.
	for range maxTags {
		i, err := p.find(h, plumbing.TagObject)
		if err != nil {
			return h, err
		} else if i == none {
			break
		}
		if h, err = field(p, i, "object "); err != nil {
			return h, err
		}
	}
	i, err := p.find(h, plumbing.CommitObject)
	if err != nil {
		return h, err
	} else if i == none {
		return h, fmt.Errorf("%w: the pack lacks commit %s", ErrHostile, h)
	}
	return field(p, i, "tree ")
}

// field reads the id that a commit or a tag begins with.
func field(p *pack, i int32, name string) (plumbing.Hash, error) {
	data, err := p.content(i)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	id, ok := strings.CutPrefix(string(line), name)
	if !ok || !plumbing.IsHash(id) || len(id) != 40 {
		return plumbing.ZeroHash, fmt.Errorf("%w: a commit without %q", ErrHostile, name)
	}
	return plumbing.NewHash(id), nil
}

// each calls do for every entry of a tree.
func each(p *pack, tree plumbing.Hash, do func(node) error) error {
	i, err := p.find(tree, plumbing.TreeObject)
	if err != nil {
		return err
	} else if i == none {
		return fmt.Errorf("%w: the pack lacks tree %s, or it is too large", ErrHostile, tree)
	}
	data, err := p.content(i)
	if err != nil {
		return err
	}
	for len(data) > 0 {
		head, rest, ok := bytes.Cut(data, []byte{0})
		mode, name, ok2 := strings.Cut(string(head), " ")
		if !ok || !ok2 || name == "" || strings.Contains(name, "/") || len(rest) < len(plumbing.ZeroHash) {
			return fmt.Errorf("%w: tree %s is malformed", ErrHostile, tree)
		}
		n := node{mode: mode, name: name}
		data = rest[copy(n.hash[:], rest):]
		if err := do(n); err != nil {
			return err
		}
	}
	return nil
}
