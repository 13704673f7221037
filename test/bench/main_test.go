package main

import (
	"os"
	"strings"
	"testing"
)

// TestMain lets the program call itself for the worker that is killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == holdCommand {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestMeasurements runs each measurement with next to nothing to do: what they show takes more, and a quiet machine.
func TestMeasurements(t *testing.T) {
	for _, args := range []string{
		"burn -n 50 -rounds 2 -fsync always", "pickup -n 10 -rounds 1 -sides ours,raw", "kill -n 10 -rounds 1 -sides ours",
	} {
		if err := run(t.Context(), strings.Fields(args)); err != nil {
			t.Errorf("bench %s: %v", args, err)
		}
	}
	for _, args := range []string{"", "walk", "burn -n 0", "burn -sides theirs"} {
		if err := run(t.Context(), strings.Fields(args)); err == nil {
			t.Errorf("bench %s: got no error", args)
		}
	}
}
