package metrics_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-ci/millrace/metrics"
)

// registered has the numbers of all rooms on one registry. A room that is new is added here and to docs/metrics.md.
func registered(t *testing.T) (*prometheus.Registry, *metrics.Door, *metrics.Spool, *metrics.Queue, *metrics.Agent) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	door := metrics.NewDoor(reg, "NAME")
	spool := metrics.NewSpool(reg)
	queue := metrics.NewQueue(reg, "plan", "work", "report", "reap", "gaps")
	agent := metrics.NewAgent(reg)
	return reg, door, spool, queue, agent
}

// TestDocument holds docs/metrics.md and the code against each other, both ways: each metric's name, type, labels with
// their values, and help.
func TestDocument(t *testing.T) {
	t.Parallel()
	reg, _, _, _, _ := registered(t)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	code := map[string]string{}
	for _, f := range families {
		values := map[string][]string{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				values[l.GetName()] = append(values[l.GetName()], l.GetValue())
			}
		}
		var labels []string
		for _, name := range slices.Sorted(maps.Keys(values)) {
			labels = append(labels, "`"+name+"`: "+strings.Join(slices.Compact(slices.Sorted(slices.Values(values[name]))), " "))
		}
		code[f.GetName()] = words(strings.ToLower(f.GetType().String()), "|", strings.Join(labels, ", "), "|", f.GetHelp())
	}
	if diff := cmp.Diff(documented(t), code); diff != "" {
		t.Errorf("docs/metrics.md and the code differ (-page +code):\n%s", diff)
	}
}

// documented reads the rows of the page's table by the metric's name.
func documented(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|(.*)\\|$").FindAllStringSubmatch(string(page), -1) {
		rows[m[1]] = words(m[2])
	}
	return rows
}

// words joins parts with single spaces, however the table is aligned.
func words(parts ...string) string {
	return strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
}

// TestRatesFromTheStart wants every metric to have its series before anything happened, and its name to follow
// Prometheus' rules: our prefix, seconds, and _total for what only grows.
func TestRatesFromTheStart(t *testing.T) {
	t.Parallel()
	reg, _, _, _, _ := registered(t)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		name, kind := f.GetName(), f.GetType().String()
		if !strings.HasPrefix(name, "millrace_") {
			t.Errorf("%s: want the prefix millrace_", name)
		}
		if got, want := strings.HasSuffix(name, "_total"), kind == "COUNTER"; got != want {
			t.Errorf("%s: is a %s", name, kind)
		}
		if kind == "HISTOGRAM" && !strings.HasSuffix(name, "_seconds") {
			t.Errorf("%s: want a unit", name)
		}
	}
}

// TestVerbs calls each verb once, and wants each to move its numbers and to make no series that was not there.
func TestVerbs(t *testing.T) {
	t.Parallel()
	reg, door, spool, queue, agent := registered(t)
	before := series(t, reg)

	door.Answered("NAME", "accepted", time.Second)
	spool.Spooled("damaged")
	spool.Holds(3, 4096, time.UnixMilli(1500))
	queue.Leased("plan", 1, time.Second)
	queue.Leased("plan", 2, time.Hour) // Only an item's first lease tells how long it waited.
	queue.Reclaimed("work")
	queue.LeasesLost("report", 2)
	agent.EventPlanned("planned")
	agent.RunEnded("succeeded")
	agent.AttemptHeld(1)
	agent.AttemptStarted(3 * time.Second)
	agent.AttemptEnded("lost", 2*time.Second)
	agent.NoticeTold("retried")
	agent.LiveRuns(4, 2)
	agent.Unplanned(5)

	after := series(t, reg)
	changed := map[string]float64{}
	for name, value := range after {
		was, ok := before[name]
		if !ok {
			t.Errorf("%s is new: its label was not known at the start", name)
		}
		if value != was {
			changed[name] = value
		}
	}
	want := map[string]float64{
		"millrace_deliveries_total accepted NAME": 1,
		"millrace_delivery_seconds":               1,
		"millrace_spooled_total damaged":          1,
		"millrace_spool_deliveries":               3,
		"millrace_spool_bytes":                    4096,
		"millrace_spool_since_timestamp_seconds":  1.5,
		"millrace_queue_leased_total plan":        2,
		"millrace_queue_wait_seconds plan":        1,
		"millrace_queue_reclaimed_total work":     1,
		"millrace_queue_leases_lost_total report": 2,
		"millrace_events_planned_total planned":   1,
		"millrace_runs_ended_total succeeded":     1,
		"millrace_attempts_held":                  1,
		"millrace_task_wait_seconds":              3,
		"millrace_attempts_ended_total lost":      1,
		"millrace_task_seconds":                   2,
		"millrace_notices_total retried":          1,
		"millrace_live_runs":                      4,
		"millrace_unreadable_runs":                2,
		"millrace_unplanned_deliveries":           5,
	}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("after one of each (-want +got):\n%s", diff)
	}
	spool.Holds(0, 0, time.Time{})
	if got := series(t, reg)["millrace_spool_since_timestamp_seconds"]; got != 0 {
		t.Errorf("an empty spool holds something since %v", got)
	}
}

// series is the value of each series by the metric's name and its label values, of a histogram the sum.
func series(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() { // Sorted by name.
				name += " " + l.GetValue()
			}
			all[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum()
		}
	}
	return all
}
