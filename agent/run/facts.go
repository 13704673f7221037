package run

import (
	"time"

	"github.com/millrace-ci/millrace/runners"
)

// Fact is what the world tells a Run. Facts carry their own time, and one about an attempt names the attempt it
// believes in, so that an answer that comes too late is known for what it is.
type Fact interface{ fact() }

// Started says that a worker holds the attempt and is about to make its job, or to join the one that is there.
type Started struct {
	Task    string
	Attempt int
	Worker  string
	At      time.Time
}

// Created says that the attempt's job exists, under this uid and no other.
type Created struct {
	Task    string
	Attempt int
	UID     string
	At      time.Time
}

// Ended says how the attempt ended. The outputs of its Result are all that there are from then on: who tells it adds those
// that the task has sent, without what must be hidden, or leaves them out.
type Ended struct {
	Task    string
	Attempt int
	Result  runners.Result
	At      time.Time
}

// Due says that the time has come for which the attempt was held back.
type Due struct {
	Task    string
	Attempt int
	At      time.Time
}

// Wrote brings outputs that the attempt's task sent while it ran. Later ones of a name replace earlier ones; Ended says
// what becomes of them.
type Wrote struct {
	Task    string
	Attempt int
	Outputs map[string]string
	At      time.Time
}

// Gone says that the attempt's job was stopped and is not there any more.
type Gone struct {
	Task    string
	Attempt int
	At      time.Time
}

// Admitted says that the run may start: fewer runs than its lane's limit stand before it. See Lane.
type Admitted struct {
	At time.Time
}

// Dropped says that the run's lane has no room for it. It ends a run that waits for its lane and is stale for any other.
type Dropped struct {
	Reason string
	At     time.Time
}

// Cancel asks that the run be ended. By is who asked.
type Cancel struct {
	By     string
	Reason string
	At     time.Time
}

// Expired says that the run's Deadline has passed.
type Expired struct {
	At time.Time
}

func (Started) fact()  {}
func (Created) fact()  {}
func (Ended) fact()    {}
func (Due) fact()      {}
func (Wrote) fact()    {}
func (Gone) fact()     {}
func (Admitted) fact() {}
func (Dropped) fact()  {}
func (Cancel) fact()   {}
func (Expired) fact()  {}
