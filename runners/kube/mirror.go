package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
)

// retry is how long a mirror waits before it asks a cluster again that does not answer: half a second at first, at most
// ten. An informer of client-go would wait up to a minute, and cannot be told otherwise; its reflector can.
var retry = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Cap: 5 * time.Second, Steps: 10, Jitter: 1}

// mirror is what was heard of all objects of one kind that are watched. A reflector of client-go fills it: it lists them,
// watches what becomes of them, goes on where a watch was cut, and lists again when the server does not remember that
// any more (410 Gone).
type mirror[T any, P object[T]] struct {
	what   string
	fill   *cache.Reflector
	ring   func(metav1.Object) // called after each change, with what it is about
	synced chan struct{}       // closed once all was seen that was there when run began
	once   sync.Once

	mu    sync.RWMutex
	all   map[string]packed[T, P] // by name
	owned map[types.UID][]string  // names, by the uid of what controls them
}

// newMirror makes a mirror of what from lists and watches. It starts nothing.
func newMirror[T any, P object[T]](what string, from cache.ListerWatcher, ring func(metav1.Object)) *mirror[T, P] {
	m := &mirror[T, P]{what: what, ring: ring, synced: make(chan struct{}), all: map[string]packed[T, P]{}, owned: map[types.UID][]string{}}
	backoff := retry
	m.fill = cache.NewReflectorWithOptions(from, P(new(T)), m, cache.ReflectorOptions{Name: what, Backoff: &backoff})
	return m
}

// run fills the mirror until ctx ends.
func (m *mirror[T, P]) run(ctx context.Context) { m.fill.RunWithContext(ctx) }

// ready returns once all was seen that was there when run began.
func (m *mirror[T, P]) ready(ctx context.Context) error {
	select {
	case <-m.synced:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("watch %s: the cluster was not heard of yet: %w", m.what, context.Cause(ctx))
	}
}

// get returns the object of this name, nil if there is none.
func (m *mirror[T, P]) get(name string) P {
	m.mu.RLock()
	p, found := m.all[name]
	m.mu.RUnlock()
	if !found {
		return nil
	}
	return p.unpack()
}

// list returns all objects.
func (m *mirror[T, P]) list() []P {
	m.mu.RLock()
	all := slices.Collect(maps.Values(m.all))
	m.mu.RUnlock()
	return unpackAll(all)
}

// of returns the objects that what has this uid controls.
func (m *mirror[T, P]) of(owner types.UID) []packed[T, P] {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var all []packed[T, P]
	for _, name := range m.owned[owner] {
		all = append(all, m.all[name])
	}
	return all
}

// put keeps o, under the lock.
func (m *mirror[T, P]) put(o P) {
	name := o.GetName()
	if by := metav1.GetControllerOf(o); by != nil && !slices.Contains(m.owned[by.UID], name) {
		m.owned[by.UID] = append(m.owned[by.UID], name)
	}
	m.all[name] = pack(o)
}

// Add implements cache.ReflectorStore.
func (m *mirror[T, P]) Add(object any) error { return m.Update(object) }

// Update implements cache.ReflectorStore.
func (m *mirror[T, P]) Update(object any) error {
	o, err := m.stripped(object)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.drop(o.GetName())
	m.put(o)
	m.mu.Unlock()
	m.ring(o)
	return nil
}

// Delete implements cache.ReflectorStore.
func (m *mirror[T, P]) Delete(object any) error {
	o, err := m.stripped(object)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.drop(o.GetName())
	m.mu.Unlock()
	m.ring(o)
	return nil
}

// drop forgets the object of this name, under the lock.
func (m *mirror[T, P]) drop(name string) {
	was, found := m.all[name]
	if !found {
		return
	}
	delete(m.all, name)
	by := metav1.GetControllerOf(was.unpack())
	if by == nil {
		return
	}
	m.owned[by.UID] = slices.DeleteFunc(m.owned[by.UID], func(other string) bool { return other == name })
	if len(m.owned[by.UID]) == 0 {
		delete(m.owned, by.UID)
	}
}

// Replace implements cache.ReflectorStore: the objects are all that there are.
func (m *mirror[T, P]) Replace(objects []any, _ string) error {
	var all []P
	for _, object := range objects {
		o, err := m.stripped(object)
		if err != nil {
			return err
		}
		all = append(all, o)
	}
	before := m.list()
	m.mu.Lock()
	clear(m.all)
	clear(m.owned)
	for _, o := range all {
		m.put(o)
	}
	m.mu.Unlock()
	for _, o := range slices.Concat(before, all) {
		m.ring(o)
	}
	m.once.Do(func() { close(m.synced) })
	return nil
}

// stripped is what is kept of an object.
func (m *mirror[T, P]) stripped(object any) (P, error) {
	object, err := strip(object)
	o, ok := object.(P)
	if err == nil && !ok {
		err = fmt.Errorf("watch %s: got a %T", m.what, object)
	}
	return o, err
}

// Resync implements cache.ReflectorStore. It is never asked for.
func (m *mirror[T, P]) Resync() error { return nil }

// Transformer implements cache.TransformingStore: what is listed piece by piece is stripped piece by piece.
func (m *mirror[T, P]) Transformer() cache.TransformFunc { return strip }
