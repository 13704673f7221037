package report_test

import (
	"errors"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
)

func TestDue(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 9, 2, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		state report.State
		last  time.Time
		want  time.Duration
	}{
		{"the first", report.Pending, time.Time{}, 0},
		{"the second, at once", report.Running, now, 5 * time.Second},
		{"the second, soon", report.Running, now.Add(-2 * time.Second), 3 * time.Second},
		{"the second, later", report.Running, now.Add(-5 * time.Second), 0},
		{"long after", report.Pending, now.Add(-time.Hour), 0},
		{"the clock was set back", report.Running, now.Add(time.Hour), 5 * time.Second},
		{"the end, at once", report.Succeeded, now, 0},
	} {
		if got := report.Due(c.state, c.last, now); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	for state, final := range map[report.State]bool{
		report.Pending: false, report.Running: false, report.Succeeded: true, report.Failed: true, report.Broken: true, report.Canceled: true, report.NotAffected: true,
		report.Skipped: true, report.Ignored: true,
	} {
		if state.Final() != final {
			t.Errorf("%s: final %v", state, state.Final())
		}
	}
}

func TestOmit(t *testing.T) {
	t.Parallel()
	why := errors.New("too many")
	if err := report.Omit(why); !report.IsOmitted(err) || !report.IsPermanent(err) || !errors.Is(err, why) || report.Refused(err) != nil {
		t.Errorf("got %v", err)
	}
	if report.IsOmitted(report.Permanent(why)) || report.IsOmitted(nil) {
		t.Error("what is permanent only was left out")
	}
}
