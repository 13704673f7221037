package github

import "sync"

// maxKept bounds how many places a memory keeps in each of its two halves.
const maxKept = 4096

// memory keeps something by place, in bounded memory: what was not changed for long is forgotten, half of all at once.
// The zero value is ready; it is safe for concurrent use.
type memory[V any] struct {
	mu       sync.Mutex
	new, old map[string]V
}

// get is what is kept of place, the zero value if nothing is.
func (m *memory[V]) get(place string) V {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held(place)
}

func (m *memory[V]) held(place string) V {
	if v, ok := m.new[place]; ok {
		return v
	}
	return m.old[place]
}

// change keeps what to makes of what is kept of place.
func (m *memory[V]) change(place string, to func(V) V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := to(m.held(place))
	if m.new == nil || len(m.new) >= maxKept {
		m.old, m.new = m.new, map[string]V{}
	}
	m.new[place] = v
}
