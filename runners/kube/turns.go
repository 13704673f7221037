package kube

import (
	"fmt"
	"runtime/debug"
	"sync"
)

// turns calls do after each wake, one call at a time, in a goroutine that ends with it: thousands that wait for something
// cost no stacks.
type turns struct {
	do func()

	mu    sync.Mutex
	busy  bool // a goroutine is at it
	again bool // wake was called since it began
	over  bool
	group sync.WaitGroup
}

// wake never blocks.
func (t *turns) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.over:
	case t.busy:
		t.again = true
	default:
		t.busy = true
		t.group.Go(t.run)
	}
}

func (t *turns) run() {
	for more := true; more; more = t.next() {
		t.do()
	}
}

func (t *turns) next() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.busy = t.again && !t.over
	t.again = false
	return t.busy
}

// end lets no turn begin any more, and waits for the one that has.
func (t *turns) end() {
	t.mu.Lock()
	t.over = true
	t.mu.Unlock()
	t.group.Wait()
}

// apart calls do in a goroutine of its own and waits for it. What do needs of a stack goes with that: a stack does not
// shrink again under who then waits for hours. A panic of do is one of the caller.
func apart(do func()) {
	failed := make(chan any, 1)
	go func() { failed <- caught(do) }()
	if p := <-failed; p != nil {
		panic(p)
	}
}

// caught calls do and returns its panic, with where that was, nil if there was none.
func caught(do func()) (failed any) {
	defer func() {
		if p := recover(); p != nil {
			failed = fmt.Sprintf("%v\n%s", p, debug.Stack())
		}
	}()
	do()
	return nil
}
