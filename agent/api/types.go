package api

import (
	"net/http"
	"time"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// Page is one page of a list.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"` // cursor of the next page, "" at the end
}

// Run is a run as answers show it.
type Run struct {
	ID         string             `json:"id"`
	Pipeline   string             `json:"pipeline"`
	File       string             `json:"file"`
	Repo       string             `json:"repo"`
	Ref        string             `json:"ref"`
	Branch     string             `json:"branch"`
	Commit     string             `json:"commit"`
	Version    string             `json:"version"` // APP_VERSION
	State      run.State          `json:"state"`
	Reason     string             `json:"reason"`
	WaitingFor string             `json:"waiting_for,omitempty"` // why it is held: lane
	Lane       *Lane              `json:"lane,omitempty"`
	CreatedAt  stamp              `json:"created_at"`
	AdmittedAt stamp              `json:"admitted_at"` // when its lane let it start
	StartedAt  stamp              `json:"started_at"`
	EndedAt    stamp              `json:"ended_at"`
	Delivery   string             `json:"delivery"`
	URL        string             `json:"url"`
	Trigger    string             `json:"trigger"` // kind of the event
	Actor      string             `json:"actor"`   // account that caused it
	Cause      run.Cause          `json:"cause"`
	Recovered  bool               `json:"recovered,omitempty"` // no delivery told of it: a look at the repository found it
	Problems   []pipeline.Problem `json:"problems,omitempty"`
	Status     *Told              `json:"status"`             // what the forge was told last
	Tellings   []Telling          `json:"tellings,omitempty"` // who was told what, the newest first; not in lists
	Stages     []Stage            `json:"stages"`
}

// Lane is the lane that a run stands in. Its place there is shown of one run that waits, not in lists.
type Lane struct {
	Group    string `json:"group"`
	Limit    int    `json:"limit"`
	WhenFull string `json:"when_full"`
	Position int    `json:"position,omitempty"`  // among those that wait, from 1
	Waiting  int    `json:"waiting,omitempty"`   // how many these are
	Before   string `json:"before,omitempty"`    // id of the run directly before it
	StartsAt *stamp `json:"starts_at,omitempty"` // about, by how long earlier runs took; null where none say
}

// Told is what was told last, and whether that worked.
type Told struct {
	State string `json:"state"`
	At    stamp  `json:"at"`
	Error string `json:"error,omitempty"` // given up, and why
}

// Stage is one stage of a run.
type Stage struct {
	Name     string `json:"name"`
	Parallel bool   `json:"parallel"`
	Tasks    []Task `json:"tasks"`
}

// Task is one task of a run.
type Task struct {
	Name         string            `json:"name"`
	Uses         string            `json:"uses"`
	State        run.State         `json:"state"`
	Attempt      int               `json:"attempt"`
	Reason       string            `json:"reason"`
	Class        string            `json:"class"` // of the result: see runners.Class
	ExitCode     *int              `json:"exit_code"`
	Runner       string            `json:"runner"`
	Worker       string            `json:"worker"`
	IgnoreFailed bool              `json:"ignore_failed"`
	QueuedAt     stamp             `json:"queued_at"`
	StartedAt    stamp             `json:"started_at"`
	EndedAt      stamp             `json:"ended_at"`
	Outputs      map[string]string `json:"outputs"`
	Summary      string            `json:"summary,omitempty"`
	WaitingFor   string            `json:"waiting_for,omitempty"` // why it is held, and
	DueAt        *stamp            `json:"due_at,omitempty"`      // until when
	Attempts     []Attempt         `json:"attempts,omitempty"`    // the earlier ones
}

// Attempt is an attempt that ended and was followed by another.
type Attempt struct {
	Attempt   int    `json:"attempt"`
	Free      bool   `json:"free"` // the next one did not count against the task's retries
	Class     string `json:"class"`
	ExitCode  int    `json:"exit_code"`
	Reason    string `json:"reason"`
	StartedAt stamp  `json:"started_at"`
	EndedAt   stamp  `json:"ended_at"`
}

// Delivery is a delivery as answers show it.
type Delivery struct {
	ID           string        `json:"id"`
	Forge        string        `json:"forge"`
	Key          string        `json:"key"` // the forge's own id
	Kind         string        `json:"kind"`
	At           stamp         `json:"at"`
	PlannedAt    stamp         `json:"planned_at"`
	State        string        `json:"state"`                  // accepted, planned, duplicate, ignored or failed
	Error        string        `json:"error"`                  // why it could not be planned, or was ignored
	DuplicateOf  string        `json:"duplicate_of,omitempty"` // the delivery that told of the same before
	ReplayOf     string        `json:"replay_of,omitempty"`    // the delivery that was planned again
	Recovered    bool          `json:"recovered,omitempty"`    // nobody delivered it: a look at the repository found it
	URL          string        `json:"url"`
	Repo         string        `json:"repo"`
	Ref          string        `json:"ref"`
	Commit       string        `json:"commit"`
	Message      string        `json:"message"`
	Actor        string        `json:"actor"`
	Explanations []Explanation `json:"explanations"`
	Headers      http.Header   `json:"headers,omitempty"` // those that are kept; not in lists
}

// Explanation is why one pipeline did or did not match, as answers show it.
type Explanation struct {
	Pipeline string `json:"pipeline"` // "" where the file does not say
	File     string `json:"file"`
	Matched  bool   `json:"matched"`
	Reason   string `json:"reason"`
	Run      string `json:"run"` // id of the run that came of it, "" if none did
}

// runOf shows a run. base is the address of the page.
func runOf(r run.Run, base string) Run {
	p, e := r.Plan, r.Plan.Event
	out := Run{
		ID: p.ID, Pipeline: p.Pipeline, File: p.File, Repo: e.Repo.Name, Ref: e.Ref, Branch: e.Branch, Commit: e.After, Version: p.Version,
		State: r.State, Reason: r.Reason, CreatedAt: stamp(p.CreatedAt), AdmittedAt: stamp(r.AdmittedAt), StartedAt: stamp(r.StartedAt), EndedAt: stamp(r.EndedAt),
		Delivery: e.Delivery, URL: base + "/runs/" + p.ID, Trigger: string(e.Kind), Actor: e.Sender, Cause: p.Cause, Recovered: e.Recovered,
		Problems: p.Problems, Stages: make([]Stage, len(p.Stages)),
	}
	if p.Lane != nil {
		out.Lane = &Lane{Group: p.Lane.Group, Limit: p.Lane.Limit, WhenFull: p.Lane.WhenFull}
	}
	if r.Held() {
		out.WaitingFor = "lane"
	}
	for i, s := range p.Stages {
		out.Stages[i] = Stage{Name: s.Name, Parallel: s.Parallel, Tasks: []Task{}}
	}
	for _, t := range r.Tasks {
		stage := &out.Stages[t.Stage]
		stage.Tasks = append(stage.Tasks, taskOf(t, &p.Stages[t.Stage].Tasks[t.Place]))
	}
	for _, t := range r.Told {
		if t.To == run.StatusListener && !t.Again {
			out.Status = &Told{State: t.State, At: stamp(t.At), Error: t.Error}
		}
	}
	return out
}

func taskOf(t run.Task, p *run.TaskPlan) Task {
	if t.Outputs == nil || !t.State.Final() { // Before the end nobody has hidden secrets in what the task has sent.
		t.Outputs = map[string]string{}
	}
	task := Task{
		Name: t.Name, Uses: p.Template.Ref(), State: t.State, Attempt: t.Attempt, Reason: t.Reason, Class: string(t.Class),
		ExitCode: t.ExitCode, Runner: p.Runner, Worker: t.Worker, IgnoreFailed: p.IgnoreFailed,
		QueuedAt: stamp(t.QueuedAt), StartedAt: stamp(t.StartedAt), EndedAt: stamp(t.EndedAt), Outputs: t.Outputs, Summary: t.Summary,
	}
	if t.State == run.Waiting {
		due := stamp(t.DueAt)
		task.WaitingFor, task.DueAt = "backoff", &due
	}
	for _, p := range t.Past {
		task.Attempts = append(task.Attempts, Attempt{
			Attempt: p.Attempt, Free: p.Free, Class: string(p.Class), ExitCode: p.ExitCode, Reason: p.Reason,
			StartedAt: stamp(p.StartedAt), EndedAt: stamp(p.EndedAt),
		})
	}
	return task
}

// causeReplay is the kind of run.Cause of what was planned again.
const causeReplay = "replay"

func deliveryOf(rec inbox.Record, p store.Plan, base string) Delivery {
	d := Delivery{
		ID: rec.ID, Forge: rec.Forge, Key: rec.Key, Kind: rec.Kind, At: stamp(rec.At), State: "accepted", URL: base + "/deliveries/" + rec.ID,
		Repo: p.Event.Repo.Name, Ref: p.Event.Ref, Commit: p.Event.After, Message: p.Event.Message, Actor: p.Event.Sender,
		Recovered: p.Event.Recovered, Explanations: make([]Explanation, len(p.Explanations)),
	}
	if p.Cause.Kind == causeReplay {
		d.ReplayOf = p.Cause.ID
	}
	for i, e := range p.Explanations {
		d.Explanations[i] = Explanation{Pipeline: e.Pipeline, File: e.File, Matched: e.Matched, Reason: e.Reason, Run: e.Run}
	}
	switch o := rec.Planned; {
	case rec.Ignored != "":
		d.State, d.Error = "ignored", rec.Ignored
	case o == nil:
	case o.Error == "":
		d.State, d.PlannedAt = "planned", stamp(o.At)
	case o.First != "":
		d.State, d.Error, d.DuplicateOf, d.PlannedAt = "duplicate", o.Error, o.First, stamp(o.At)
	case o.Ignored:
		d.State, d.Error, d.PlannedAt = "ignored", o.Error, stamp(o.At)
	default:
		d.State, d.Error, d.PlannedAt = "failed", o.Error, stamp(o.At)
	}
	return d
}

// stamp is how times look in answers: RFC 3339, UTC, milliseconds; null for none.
type stamp time.Time

// Time is the stamp as a time.
func (s stamp) Time() time.Time { return time.Time(s) }

// MarshalJSON writes the time, or null.
func (s stamp) MarshalJSON() ([]byte, error) {
	t := time.Time(s)
	if t.IsZero() {
		return []byte("null"), nil
	}
	return []byte(`"` + t.UTC().Format("2006-01-02T15:04:05.000Z07:00") + `"`), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *stamp) UnmarshalJSON(data []byte) error { return (*time.Time)(s).UnmarshalJSON(data) }
