package spool

import (
	"github.com/millrace-ci/millrace/triggers"
)

// indexed is how many deliveries the index knows at most: some 30 MB. Of more than that a duplicate is spooled too, and
// sorted out when it is drained.
const indexed = 100_000

// entry is a delivery in the spool.
type entry struct {
	id, pair string

	group *group   // with which it is written, or was
	seg   *segment // where it lies, once it is written
	off   int64
}

func newEntry(d triggers.Delivery) *entry {
	return &entry{id: d.ID, pair: triggers.DeliveryID(d.Forge, d.Key)}
}

// index finds deliveries in the spool by their pair and by their id.
type index struct {
	byPair, byID map[string]*entry
}

func newIndex() index { return index{map[string]*entry{}, map[string]*entry{}} }

// put makes e the entry of its pair and of its id, while there is room.
func (x index) put(e *entry) {
	if len(x.byPair) >= indexed {
		return
	}
	x.byPair[e.pair] = e
	x.byID[e.id] = e
}

// drop forgets e, and no other entry that took its place.
func (x index) drop(e *entry) {
	if x.byPair[e.pair] == e {
		delete(x.byPair, e.pair)
	}
	if x.byID[e.id] == e {
		delete(x.byID, e.id)
	}
}
