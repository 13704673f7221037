// Command bench measures Millrace's queue beside asynq and beside bare Redis Streams, each on the same redis-server, in
// alternating rounds, and writes Markdown tables to standard output. People call it (docs/benchmarks.md says how); it calls
// redisq, asynq and Redis. It is a module of its own, so that nobody who uses Millrace downloads the peers. It judges
// nothing: the ratio is the result.
//
//	bench burn     tasks per second through ten slots, each task acknowledged by itself
//	bench pickup   time from a push to its handler, on an idle line
//	bench kill     time from kill -9 of a worker to the taking over of the last task that it held
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// options are what all measurements share.
type options struct {
	n      int
	rounds int
	fsync  []string // appendfsync, one table each
	sides  []string
}

// measurements are the programs, with how much each does when nobody says.
var measurements = map[string]struct {
	n     int
	fsync string
	run   func(context.Context, options) error
}{
	"burn":   {100_000, "everysec,always", burn},
	"pickup": {100, "everysec", pickup},
	"kill":   {1000, "everysec", kill},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 4 && args[0] == holdCommand {
		return hold(ctx, args[1], args[2], args[3])
	}
	if len(args) == 0 || measurements[args[0]].run == nil {
		return errors.New("say what to measure: burn, pickup or kill")
	}
	m := measurements[args[0]]
	flags := flag.NewFlagSet("bench "+args[0], flag.ContinueOnError)
	n := flags.Int("n", m.n, "tasks in one round")
	rounds := flags.Int("rounds", 5, "rounds of each side")
	fsync := flags.String("fsync", m.fsync, "appendfsync of the server: everysec, always or both")
	sides := flags.String("sides", "ours,asynq,raw", "whom to measure")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	o := options{*n, *rounds, strings.Split(*fsync, ","), strings.Split(*sides, ",")}
	for _, s := range o.sides {
		if !slices.Contains([]string{"ours", "asynq", "raw"}, s) {
			return fmt.Errorf("-sides: %q is none of ours, asynq and raw", s)
		}
	}
	if o.n < 10 || o.rounds < 1 {
		return errors.New("-n is at least 10, -rounds at least 1")
	}
	return m.run(ctx, o)
}
