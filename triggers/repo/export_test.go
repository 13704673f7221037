package repo

import (
	"bytes"
	"runtime"

	"github.com/go-git/go-git/v5/plumbing"
)

// AwaitWaiting returns when n callers wait for one reading: nothing signals that somebody has begun to wait.
func AwaitWaiting(r *Reader, url, commit string, n int) {
	for {
		r.flights.mu.Lock()
		f := r.flights.m[key{url, commit}]
		ready := f != nil && f.waiting == n
		r.flights.mu.Unlock()
		if ready {
			return
		}
		runtime.Gosched()
	}
}

func alive() error { return nil }

// Object is one object of a pack as a test sees it.
type Object struct {
	Kind, Hash string
	Data       []byte
}

// Unpack reads a pack and every object that can be made of it.
func Unpack(data []byte, tempDir string) ([]Object, error) {
	p, err := resolved(data, 1<<20, tempDir)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	var all []Object
	for i, e := range p.entries {
		if e.kind == plumbing.InvalidObject {
			continue // A delta of nothing, or of something too large.
		}
		data, err := p.content(int32(i))
		if err != nil {
			return nil, err
		}
		all = append(all, Object{e.kind.String(), e.hash.String(), data})
	}
	return all, nil
}

// Count tells how many objects can be made of a pack with so many bytes of deltas on top of each other.
func Count(data []byte, live int64, tempDir string) (n int, err error) {
	p, err := resolved(data, live, tempDir)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	for _, e := range p.entries {
		if e.kind != plumbing.InvalidObject {
			n++
		}
	}
	return n, nil
}

func resolved(data []byte, live int64, tempDir string) (*pack, error) {
	p, err := readPack(bytes.NewReader(data), limits{5000, 1 << 20, 1 << 20, live, alive}, tempDir)
	if err != nil {
		return nil, err
	}
	for _, kind := range []plumbing.ObjectType{plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject} {
		if err := p.resolve(kind); err != nil {
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

// Listing reads what a pipeline would be read from, as if the pack were a server's answer.
func Listing(data []byte, commit, tempDir string) error {
	p, err := readPack(bytes.NewReader(data), limits{1000, 1 << 20, 1 << 20, 1 << 20, alive}, tempDir)
	if err != nil {
		return err
	}
	defer p.Close()
	l, err := newListing(p, plumbing.NewHash(commit), 100)
	if err == nil {
		_, err = l.fill(p, 1<<10)
	}
	return err
}
