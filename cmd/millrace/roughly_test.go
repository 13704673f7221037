package main

import (
	"testing"
	"time"
)

func TestRoughly(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Hour: "a minute", 59 * time.Second: "a minute", 100 * time.Second: "2 minutes", 59 * time.Minute: "59 minutes", 90 * time.Minute: "1.5 hours",
	} {
		if got := roughly(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}
