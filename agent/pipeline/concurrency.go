package pipeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-ci/millrace/triggers"
)

// What becomes of a run whose group is full.
const (
	Queue         = "queue"          // it waits
	CancelRunning = "cancel_running" // it waits, and the older ones are canceled
	Drop          = "drop"           // it is canceled
)

// Keep lets the runs of a branch or tag go on that is deleted, CancelRunning ends them.
const Keep = "keep"

// Concurrency says how many runs of a group there are at once, and what becomes of more. Groups are a repository's own.
type Concurrency struct {
	Group    string `json:"group,omitempty"`     // pattern, see ConcurrencyOf; "": the pipeline and the ref
	Limit    int    `json:"limit,omitempty"`     // runs at once; 0: 1
	WhenFull string `json:"when_full,omitempty"` // Queue, CancelRunning or Drop; "": CancelRunning for requests, Queue for the rest
	MaxQueue int    `json:"max_queue,omitempty"` // runs that wait at once; 0: 20

	WhenDeleted string `json:"when_deleted,omitempty"` // Keep or CancelRunning: the runs of a ref that is deleted; "": Keep
}

const (
	maxLimit     = 1000 // of Limit and MaxQueue
	defaultQueue = 20
)

// ConcurrencyOf is what holds for a run of the pipeline for this event, with nothing left open that the event decides. {name} in the group
// stands for the same words as in a version, but as they are: two branches are never one. A group that comes out empty
// is that of the pipeline and the ref, which no other pipeline has by itself: a pipeline's name has no space in it.
func (p Pipeline) ConcurrencyOf(e triggers.Event) Concurrency {
	c := p.Concurrency
	c.Group = cmp.Or(fill(c.Group, e, func(_, word string) string { return word }), p.Name+" "+e.Ref)
	whenFull := Queue
	if e.Kind == triggers.PullRequest {
		whenFull = CancelRunning
	}
	c.Limit, c.WhenFull, c.MaxQueue = cmp.Or(c.Limit, 1), cmp.Or(c.WhenFull, whenFull), cmp.Or(c.MaxQueue, defaultQueue)
	return c
}

func (c Concurrency) String() string {
	line := fmt.Sprintf("%s, %d at a time, when_full: %s", c.Label(), c.Limit, c.WhenFull)
	if c.WhenDeleted == CancelRunning {
		line += ", when_deleted: " + c.WhenDeleted
	}
	return line
}

// Label is the group for people: bounded, and quoted where it is no plain word.
func (c Concurrency) Label() string { return show(c.Group) }

func (d *decoder) concurrency(c *Concurrency) read {
	return func(n *yaml.Node) {
		d.mapping(n, "`concurrency`", keys{
			"group":     d.group(&c.Group),
			"limit":     d.count(&c.Limit, "`limit`", 1, maxLimit),
			"when_full": d.choice(&c.WhenFull, "`when_full`", Queue, CancelRunning, Drop),
			"max_queue": d.count(&c.MaxQueue, "`max_queue`", 1, maxLimit),

			"when_deleted": d.choice(&c.WhenDeleted, "`when_deleted`", Keep, CancelRunning),
		})
	}
}

func (d *decoder) group(dst *string) read {
	return func(n *yaml.Node) {
		d.text(dst, "`group`", validVisible, wantsVisible)(n)
		if err := checkBlanks("`group`", *dst); err != nil {
			d.fail(n, "%s", err)
		}
	}
}

// choice reads one of some words.
func (d *decoder) choice(dst *string, what string, words ...string) read {
	return func(n *yaml.Node) {
		s, ok := d.scalar(n, what)
		switch {
		case !ok:
		case !slices.Contains(words, s):
			d.fail(n, "%s is one of %s, not %.80q", what, strings.Join(words, ", "), s)
		default:
			*dst = s
		}
	}
}
