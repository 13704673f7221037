package agent

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/agent/store"
)

// watcher tells workers that a run they hold an attempt of was changed by somebody: it may be to be canceled.
type watcher struct {
	mu   sync.Mutex
	subs map[string]map[chan struct{}]bool // by run
}

func newWatcher() *watcher { return &watcher{subs: map[string]map[chan struct{}]bool{}} }

// run passes changes on until ctx ends. While the store cannot be asked for them it asks again: what was missed
// meanwhile is told by the first answer.
func (w *watcher) run(ctx context.Context, runs store.Runs, log *slog.Logger) error {
	for {
		changes, err := runs.Changes(ctx)
		if err == nil {
			w.tell("")
			for id := range changes {
				w.tell(id)
			}
		} else if ctx.Err() == nil {
			log.WarnContext(ctx, "runs not watched, to be tried again", "err", err)
		}
		if !wait(ctx, time.Second) {
			return nil
		}
	}
}

// watch returns a channel that gets something after each change of the run, and a function that ends it.
func (w *watcher) watch(id string) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.subs[id] == nil {
		w.subs[id] = map[chan struct{}]bool{}
	}
	w.subs[id][c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.subs[id], c)
		if len(w.subs[id]) == 0 {
			delete(w.subs, id)
		}
	}
}

// tell wakes who watches the run; "" wakes everybody.
func (w *watcher) tell(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for run, subs := range w.subs {
		if id != "" && run != id {
			continue
		}
		for c := range subs {
			select {
			case c <- struct{}{}:
			default: // it has not looked since the last one: once is enough
			}
		}
	}
}
