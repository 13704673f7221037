package api

import (
	"slices"

	"github.com/millrace-ci/millrace/agent/run"
)

// Telling is the record of telling somebody how a run is, as answers show it.
type Telling struct {
	To      string `json:"to"`      // who listens: status is the commit's at the forge
	Context string `json:"context"` // what it is shown under, like millrace/build
	State   string `json:"state"`   // that was told
	Said    string `json:"said,omitempty"`
	Text    string `json:"text"`
	At      stamp  `json:"at"`      // when the last try ended
	TookMS  int64  `json:"took_ms"` // how long that took
	Tries   int    `json:"tries"`
	Status  int    `json:"status,omitempty"` // of HTTP, of the last answer
	Answer  string `json:"answer"`
	Error   string `json:"error,omitempty"` // why the last try failed
	Again   bool   `json:"again,omitempty"` // it is tried again; without that, what failed is given up
}

// tellingsOf are the records of a run's tellings, the newest first.
func tellingsOf(r run.Run) []Telling {
	all := make([]Telling, 0, len(r.Told))
	for _, t := range slices.Backward(r.Told) {
		all = append(all, Telling{
			To: t.To, Context: t.Context, State: t.State, Said: t.Said, Text: t.Text, At: stamp(t.At), TookMS: t.Took.Milliseconds(),
			Tries: t.Tries, Status: t.Status, Answer: t.Answer, Error: t.Error, Again: t.Again,
		})
	}
	return all
}
