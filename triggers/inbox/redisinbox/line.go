package redisinbox

import (
	"context"
	"sync"
)

// Bounds of one batch, so that no script holds Redis for long. A batch has one entry at least.
const (
	batchEntries = 64
	batchBytes   = 4 << 20
)

// entry is one delivery on its way to Redis.
type entry struct {
	ctx  context.Context // its caller's
	keys [2]string
	args [6]any
	size int // bytes

	done  chan struct{} // closed when first and err are set
	first string
	err   error
}

// line is where entries wait while a batch is under way: a group commit. The first caller on an idle line starts a
// goroutine that flushes whoever waits until nobody does; so it works with no goroutine when there is nothing to do,
// and a caller waits for one batch under way and its own. The zero line is idle.
type line struct {
	mu      sync.Mutex
	waiting []*entry
	busy    bool // a goroutine is flushing
}

// wait puts e in line and returns when flush took it, with flush's error, or when its context ends.
func (l *line) wait(e *entry, flush func([]*entry) error) error {
	if err := e.ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	l.waiting = append(l.waiting, e)
	if !l.busy {
		l.busy = true
		go l.drain(flush)
	}
	l.mu.Unlock()
	select {
	case <-e.done:
		return e.err
	case <-e.ctx.Done():
		return e.ctx.Err()
	}
}

// drain flushes until nobody waits. Every caller waits for it, except those whose context ended.
func (l *line) drain(flush func([]*entry) error) {
	for batch := l.next(); batch != nil; batch = l.next() {
		err := flush(batch)
		for _, e := range batch {
			e.err = err
			close(e.done)
		}
	}
}

// next takes the next batch off the line, without those who left. Nil means that the line is idle.
func (l *line) next() []*entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var batch []*entry
	size, taken := 0, 0
	for _, e := range l.waiting {
		if len(batch) > 0 && (len(batch) == batchEntries || size+e.size > batchBytes) {
			break
		}
		taken++
		if e.ctx.Err() == nil {
			batch = append(batch, e)
			size += e.size
		}
	}
	rest := copy(l.waiting, l.waiting[taken:])
	clear(l.waiting[rest:]) // do not hold on to bodies
	l.waiting = l.waiting[:rest]
	l.busy = batch != nil
	return batch
}
