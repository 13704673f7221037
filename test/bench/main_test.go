package main

import (
	"os"
	"strings"
	"testing"
)

// TestMain lets the program start itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && children[os.Args[1]] != nil {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestMeasurements runs each measurement but soak, which takes its time, with next to nothing to do: what they show takes more, and a quiet machine.
func TestMeasurements(t *testing.T) {
	for _, args := range []string{
		"burn -n 50 -rounds 2 -fsync always", "pickup -n 10 -rounds 1 -sides ours,raw", "kill -n 10 -rounds 1 -sides ours",
		"door -n 100 -rounds 1 -fsync always", "state -n 50 -rounds 1 -sides 1,1000", "fetch -n 100 -rounds 1",
		"start -n 10 -rounds 1", "big -n 1000 -rounds 1", "stop -n 10 -rounds 1",
	} {
		if err := choose(t.Context(), strings.Fields(args)); err != nil {
			t.Errorf("bench %s: %v", args, err)
		}
	}
	for _, args := range []string{"", "walk", "burn -n 0", "burn -sides theirs"} {
		if err := choose(t.Context(), strings.Fields(args)); err == nil {
			t.Errorf("bench %s: got no error", args)
		}
	}
}

func TestSlope(t *testing.T) {
	if got := slope([]float64{99, 100, 101}); got != 1 {
		t.Errorf("one of a hundred more each second: got %v %%, want 1", got)
	}
}
