package run

// verb is what can happen to a task.
type verb string

const (
	turn     verb = "its turn"
	passOver verb = "passed over"
	started  verb = "started"
	success  verb = "ended, succeeded"
	failure  verb = "ended, any other class"
	again    verb = "ended, to be tried again"
	due      verb = "backoff is over"
	cancel   verb = "cancel"
	expire   verb = "run expired"
	gone     verb = "gone, after cancel"
	goneLate verb = "gone, after expiry"
)

// move is one row of the transition table.
type move struct {
	From State
	On   verb
	To   State
}

// moves is the transition table of a task: what is not here cannot happen. docs/run-states.md is drawn from it.
var moves = []move{
	{Pending, turn, Queued},
	{Pending, passOver, Skipped},
	{Pending, cancel, Canceled},
	{Pending, expire, Skipped},
	{Queued, started, Running},
	{Queued, cancel, Canceled},
	{Queued, expire, Failed},
	{Running, started, Running}, // another worker joins
	{Running, success, Succeeded},
	{Running, failure, Failed},
	{Running, again, Waiting},
	{Running, cancel, Canceling},
	{Running, expire, Canceling},
	{Waiting, due, Queued},
	{Waiting, cancel, Canceled},
	{Waiting, expire, Failed},
	{Canceling, started, Canceling}, // another worker joins, to end it
	{Canceling, gone, Canceled},
	{Canceling, goneLate, Failed},
}

// after tells where a task in state from gets to by v, and whether it can.
func after(from State, v verb) (State, bool) {
	for _, m := range moves {
		if m.From == from && m.On == v {
			return m.To, true
		}
	}
	return from, false
}
