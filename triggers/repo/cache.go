package repo

import (
	"container/list"
	"sync"
)

// cache keeps what was read last, at most limit bytes of it.
type cache struct {
	mu    sync.Mutex
	limit int64
	size  int64
	order *list.List // of *kept, the latest used first
	byKey map[key]*list.Element
}

type kept struct {
	key  key
	size int64
	definitions
}

func newCache(limit int64) *cache {
	return &cache{limit: limit, order: list.New(), byKey: map[key]*list.Element{}}
}

func (c *cache) get(k key) (definitions, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[k]
	if !ok {
		return definitions{}, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*kept).definitions, true
}

// put keeps d under k, which is not kept yet, unless d alone is over the limit.
func (c *cache) put(k key, d definitions) {
	item := &kept{key: k, size: weight(k, d), definitions: d}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[k]; ok || item.size > c.limit {
		return
	}
	c.byKey[k] = c.order.PushFront(item)
	for c.size += item.size; c.size > c.limit; {
		last := c.order.Back()
		old := c.order.Remove(last).(*kept)
		delete(c.byKey, old.key)
		c.size -= old.size
	}
}

// weight is about what keeping d takes, in bytes: its content, and what Go needs to hold it.
func weight(k key, d definitions) int64 {
	const entry, item = 400, 100
	n := int64(entry + 2*(len(k.url)+len(k.commit)))
	for _, f := range d.files {
		n += int64(item + len(f.Path) + cap(f.Data))
	}
	for _, b := range d.bad {
		n += int64(item + len(b.Path) + len(b.Reason))
	}
	return n
}
