package agent

import (
	"sync"
	"time"
)

// alarms call something later, once for each id at a time. What is lost with this process the reaper does.
type alarms struct {
	mu      sync.Mutex
	timers  map[string]*time.Timer
	ringing sync.WaitGroup
	over    bool
}

// set has ring called in so much time, unless an alarm is set for the id already, or stop was called.
func (a *alarms) set(id string, in time.Duration, ring func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over || a.timers[id] != nil {
		return
	}
	if a.timers == nil {
		a.timers = map[string]*time.Timer{}
	}
	a.ringing.Add(1)
	a.timers[id] = time.AfterFunc(in, func() {
		defer a.ringing.Done()
		a.mu.Lock()
		delete(a.timers, id)
		a.mu.Unlock()
		ring()
	})
}

// stop forgets all alarms and waits for those that ring.
func (a *alarms) stop() {
	a.mu.Lock()
	a.over = true
	for _, t := range a.timers {
		if t.Stop() {
			a.ringing.Done()
		}
	}
	a.mu.Unlock()
	a.ringing.Wait()
}
