package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Agent counts what the deciding loops do.
type Agent struct {
	planned, runs, tasks, told *prometheus.CounterVec
	waited, ran                prometheus.Histogram
	busy, live, unplanned      prometheus.Gauge
	unreadable                 prometheus.Gauge
	looks                      *prometheus.CounterVec
	recovered, redelivered     prometheus.Counter
}

// NewAgent registers the agent's numbers.
func NewAgent(reg prometheus.Registerer) *Agent {
	a := &Agent{
		planned: counter(reg, "millrace_events_planned_total", "Deliveries planned, by outcome.", "outcome", "planned", "duplicate", "ignored", "invalid", "failed"),
		runs:    counter(reg, "millrace_runs_ended_total", "Runs that reached a final state, by state.", "state", "succeeded", "failed", "canceled", "skipped"),
		tasks: counter(reg, "millrace_attempts_ended_total", "Attempts that ended, by class of their result.", "class",
			"succeeded", "failure", "timeout", "canceled", "infrastructure", "lost", "refused"),
		told:        counter(reg, "millrace_notices_total", "Notices, by outcome.", "outcome", "told", "left_out", "retried", "given_up"),
		waited:      histogram(reg, "millrace_task_wait_seconds", "Time from a task's place in line to its start.", duration),
		ran:         histogram(reg, "millrace_task_seconds", "Time from a task's start to its end.", duration),
		busy:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_attempts_held", Help: "Attempts that this process's workers hold."}),
		live:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_live_runs", Help: "Runs that want something still, as the reaper saw them last; 0 where another process reaps."}),
		unreadable:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_unreadable_runs", Help: "Live runs that cannot be read, as the reaper saw them last: each holds its place in its lane; 0 where another process reaps."}),
		looks:       counter(reg, "millrace_looks_total", "Looks at a repository for missed pushes, by outcome.", "outcome", "seen", "failed"),
		recovered:   prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_pushes_recovered_total", Help: "Pushes that no delivery told and a look found."}),
		redelivered: prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_redeliveries_asked_total", Help: "Failed deliveries that a forge was asked to send again."}),
		unplanned:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_unplanned_deliveries", Help: "Deliveries not planned yet, at most 500, as the reaper saw them last; 0 where another process reaps."}),
	}
	reg.MustRegister(a.busy, a.live, a.unreadable, a.unplanned, a.recovered, a.redelivered)
	return a
}

// EventPlanned counts a delivery that was planned: outcome is planned, duplicate, ignored, invalid or failed (and tried again).
func (a *Agent) EventPlanned(outcome string) { a.planned.WithLabelValues(outcome).Inc() }

// RunEnded counts a run that reached a final state.
func (a *Agent) RunEnded(state string) { a.runs.WithLabelValues(state).Inc() }

// AttemptHeld says that a worker holds one attempt more (1) or fewer (-1).
func (a *Agent) AttemptHeld(more float64) { a.busy.Add(more) }

// AttemptStarted records how long a task waited in line.
func (a *Agent) AttemptStarted(waited time.Duration) { a.waited.Observe(waited.Seconds()) }

// AttemptEnded counts an attempt by the class of its result.
func (a *Agent) AttemptEnded(class string, ran time.Duration) {
	a.tasks.WithLabelValues(class).Inc()
	a.ran.Observe(ran.Seconds())
}

// NoticeTold counts a try to tell: outcome is told, left_out, retried or given_up.
func (a *Agent) NoticeTold(outcome string) { a.told.WithLabelValues(outcome).Inc() }

// LiveRuns says how many runs want something still, and how many of those cannot be read.
func (a *Agent) LiveRuns(n, unreadable int) {
	a.live.Set(float64(n))
	a.unreadable.Set(float64(unreadable))
}

// Unplanned says how many deliveries wait to be planned.
func (a *Agent) Unplanned(n int) { a.unplanned.Set(float64(n)) }

// Looked counts a look at a repository for missed pushes: outcome is seen or failed.
func (a *Agent) Looked(outcome string) { a.looks.WithLabelValues(outcome).Inc() }

// PushRecovered counts a push that a look found.
func (a *Agent) PushRecovered() { a.recovered.Inc() }

// Redelivered counts deliveries that a forge was asked to send again.
func (a *Agent) Redelivered(n int) { a.redelivered.Add(float64(n)) }
