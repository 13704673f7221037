package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/cmd/millrace/config"
)

// TestNumbers checks that Go's and the process's own numbers are published beside ours, and that no label of ours names
// something of which there is no end.
func TestNumbers(t *testing.T) {
	t.Parallel()
	families, err := newNumbers(&config.Config{Forges: []config.Forge{{Name: "gitea"}}}).registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				bounded := []string{"answer", "forge", "queue", "class", "outcome", "state"}
				if strings.HasPrefix(f.GetName(), "millrace_") && !slices.Contains(bounded, l.GetName()) {
					t.Errorf("%s has label %s, want only %v", f.GetName(), l.GetName(), bounded)
				}
			}
		}
	}
	for _, want := range []string{"go_goroutines", "process_cpu_seconds_total", "millrace_deliveries_total", "millrace_queue_leased_total", "millrace_runs_ended_total"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not published", want)
		}
	}
}
