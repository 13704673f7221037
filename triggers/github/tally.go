package github

import "sync"

// maxTallied bounds how many places a tally counts in each of its two halves.
const maxTallied = 4096

// tally counts by place, in bounded memory: what was not counted for long is forgotten, half of all at once. The zero
// value is ready; it is safe for concurrent use.
type tally struct {
	mu       sync.Mutex
	new, old map[string]int
}

// count is how often place was counted.
func (t *tally) count(place string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held(place)
}

func (t *tally) held(place string) int {
	if n, ok := t.new[place]; ok {
		return n
	}
	return t.old[place]
}

// add counts place n times more.
func (t *tally) add(place string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n += t.held(place)
	if t.new == nil || len(t.new) >= maxTallied {
		t.old, t.new = t.new, map[string]int{}
	}
	t.new[place] = n
}
