package redisstore

import (
	"container/list"
	"sync"

	"github.com/millrace-ci/millrace/agent/run"
)

// cache keeps the snapshots that were used last, up to a number of bytes. A snapshot never changes, so that an entry
// is never wrong, and everybody may share it.
type cache struct {
	mu    sync.Mutex
	room  int                      // bytes that are left
	byID  map[string]*list.Element // of *cached
	byUse *list.List               // the last used in front
}

type cached struct {
	plan *run.Snapshot
	size int
}

func newCache(size int) cache {
	return cache{room: size, byID: map[string]*list.Element{}, byUse: list.New()}
}

func (c *cache) get(id string) (*run.Snapshot, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byID[id]
	if !ok {
		return nil, false
	}
	c.byUse.MoveToFront(e)
	return e.Value.(*cached).plan, true
}

func (c *cache) put(plan *run.Snapshot, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byID[plan.ID]; ok {
		return
	}
	c.byID[plan.ID] = c.byUse.PushFront(&cached{plan, size})
	c.room -= size
	for c.room < 0 {
		oldest := c.byUse.Remove(c.byUse.Back()).(*cached)
		delete(c.byID, oldest.plan.ID)
		c.room += oldest.size
	}
}
