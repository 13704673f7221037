package main

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets this test binary also be the program: the keeper of a local job, which the runner starts as the program
// that it is itself, the daemon that crash tests kill, and `millrace`, which scripts and other tests find on PATH.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == keeperCommand:
		main()
	case os.Getenv("MILLRACE_TEST_DOOMED") != "":
		os.Exit(doomed(os.Args[1], os.Getenv("MILLRACE_TEST_DOOMED")))
	}
	testscript.Main(m, map[string]func(){"millrace": main})
}

// doomed is `millrace serve -c file` with short leases, which kills itself where doom says.
func doomed(file, doom string) int {
	c, err := loadConfig(file, nil)
	if err != nil {
		panic(err)
	}
	d := parseDoom(doom)
	log := slog.New(d.watch(slog.NewJSONHandler(os.Stderr, nil)))
	if err := serve(context.Background(), c, options{log: log, lease: time.Second, now: clock(), redis: d}); err != nil {
		panic(err)
	}
	return 0
}

// clockVariable is when a doomed agent believes to have been started.
const clockVariable = "MILLRACE_TEST_CLOCK"

// clock is the clock of a doomed agent.
func clock() func() time.Time {
	at, err := time.Parse(time.RFC3339, os.Getenv(clockVariable))
	if err != nil {
		return time.Now
	}
	started := time.Now()
	return func() time.Time { return at.Add(time.Since(started)) }
}
