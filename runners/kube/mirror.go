package kube

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
)

// retry is how long a mirror waits before it asks a cluster again that does not answer: half a second at first, at most
// ten. An informer of client-go would wait up to a minute, and cannot be told otherwise; its reflector can.
var retry = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Cap: 5 * time.Second, Steps: 10, Jitter: 1}

// mirror is what was heard of all objects of one kind that are watched. A reflector of client-go fills it: it lists them,
// watches what becomes of them, goes on where a watch was cut, and lists again when the server does not remember that
// any more (410 Gone).
type mirror struct {
	what   string
	index  cache.Indexer
	fill   *cache.Reflector
	ring   func(object any) // called after each change, with what it is about
	synced chan struct{}    // closed once all was seen that was there when run began
	once   sync.Once
}

// newMirror makes a mirror of what from lists and watches, which are objects as kind is. It starts nothing.
func newMirror(what string, from cache.ListerWatcher, kind runtime.Object, by cache.Indexers, ring func(object any)) *mirror {
	m := &mirror{what: what, index: cache.NewIndexer(cache.MetaNamespaceKeyFunc, by), ring: ring, synced: make(chan struct{})}
	backoff := retry
	m.fill = cache.NewReflectorWithOptions(from, kind, m, cache.ReflectorOptions{Name: what, Backoff: &backoff})
	return m
}

// run fills the mirror until ctx ends.
func (m *mirror) run(ctx context.Context) { m.fill.RunWithContext(ctx) }

// ready returns once all was seen that was there when run began.
func (m *mirror) ready(ctx context.Context) error {
	select {
	case <-m.synced:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("watch %s: the cluster was not heard of yet: %w", m.what, context.Cause(ctx))
	}
}

// Add implements cache.ReflectorStore.
func (m *mirror) Add(object any) error { return m.Update(object) }

// Update implements cache.ReflectorStore.
func (m *mirror) Update(object any) error {
	object, err := strip(object)
	if err == nil {
		err = m.index.Update(object)
	}
	m.ring(object)
	return err
}

// Delete implements cache.ReflectorStore.
func (m *mirror) Delete(object any) error {
	err := m.index.Delete(object)
	m.ring(object)
	return err
}

// Replace implements cache.ReflectorStore: the objects are all that there are.
func (m *mirror) Replace(objects []any, version string) error {
	before := m.index.List()
	for i := range objects {
		var err error
		if objects[i], err = strip(objects[i]); err != nil {
			return err
		}
	}
	err := m.index.Replace(objects, version)
	for _, object := range slices.Concat(before, objects) {
		m.ring(object)
	}
	m.once.Do(func() { close(m.synced) })
	return err
}

// Resync implements cache.ReflectorStore. It is never asked for.
func (m *mirror) Resync() error { return nil }

// Transformer implements cache.TransformingStore: what is listed piece by piece is stripped piece by piece.
func (m *mirror) Transformer() cache.TransformFunc { return strip }
