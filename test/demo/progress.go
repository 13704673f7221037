package main

import (
	"fmt"
	"sync"
	"time"
)

// steps is how many there are; docs/ARCHITECTURE.md tells the same ten.
const steps = 10

type event struct {
	at   time.Time
	text string
}

// progress prints each step once, in order, as soon as those before it are there.
type progress struct {
	start time.Time

	mu      sync.Mutex
	events  map[int]event
	printed int
}

// step notes that a step has happened.
func (p *progress) step(n int, at time.Time, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, seen := p.events[n]; seen {
		return
	}
	p.events[n] = event{at, text}
	for {
		e, ok := p.events[p.printed+1]
		if !ok {
			return
		}
		p.printed++
		fmt.Printf("%3d  %6.0f ms  %s\n", p.printed, float64(e.at.Sub(p.start).Microseconds())/1000, e.text)
	}
}

// next is the step that is waited for.
func (p *progress) next() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.printed + 1
}

// see finds the step that a line of the daemon's log tells of.
func (p *progress) see(r record) {
	switch r.Msg {
	case "delivery answered":
		if r.Status == "accepted" {
			p.step(3, r.Time, fmt.Sprintf("the door verifies it, the inbox keeps it as %s, then the answer is 202", r.Delivery))
		}
	case "definitions read":
		p.step(4, r.Time, fmt.Sprintf("the planner reads %d definitions at that commit", r.Files))
	case "run created":
		p.step(5, r.Time, fmt.Sprintf("it matches %s and creates run %s", r.Pipeline, r.Run))
	case "attempt queued":
		p.step(6, r.Time, fmt.Sprintf("attempt %d of %s is put in line", r.Attempt, r.Task))
	case "attempt started":
		p.step(7, r.Time, fmt.Sprintf("a worker leases %s and saves that it started", r.Task))
	case "job created":
		p.step(8, r.Time, fmt.Sprintf("the runner makes its job %s", r.Job))
	case "run ended":
		p.step(9, r.Time, fmt.Sprintf("the last task has ended: the run is %s", r.State))
	case "status told":
		if r.State == "succeeded" {
			p.step(10, r.Time, "Gitea is told: the commit is green, with a link to the run's page")
		}
	}
}
