// Command bench measures Millrace beside others that do the same, on the same machine in alternating rounds, and writes
// Markdown tables to standard output. People call it (docs/benchmarks.md says how); it calls the rooms that it measures,
// their peers, and servers that it starts for itself. It is a module of its own, so that nobody who uses Millrace downloads
// the peers. It judges nothing: the ratio is the result.
//
//	bench burn     tasks per second through ten slots, each task acknowledged by itself
//	bench pickup   time from a push to its handler, on an idle line
//	bench kill     time from kill -9 of a worker to the taking over of the last task that it held
//	bench door     deliveries accepted, and forged ones refused, beside a handler that keeps nothing
//	bench fetch    one file at a commit, beside git and go-git, by files and commits of the repository
//	bench start    from the daemon's start to its readiness, and what it costs while nothing happens
//	bench big      a push of 25 MB, and /metrics while 50,000 tasks are in line
//	bench soak     how the daemon's memory grows under half of the load that it can bear
//	bench stop     answers while Redis stands still, and the end after SIGTERM
//	bench state    what a transition of a run costs, by stored runs and tasks of a run
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
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
	sides  []string // whom or what to measure, in turns: the rows of a table
	base   string   // the side that the others are compared with
}

// measurement is one of the programs, with what it does when nobody says.
type measurement struct {
	n     int
	fsync string
	sides string
	run   func(context.Context, options) error
}

var measurements = map[string]measurement{
	"burn":   {100_000, "everysec,always", "ours,asynq,raw", burn},
	"pickup": {100, "everysec", "ours,asynq,raw", pickup},
	"kill":   {1000, "everysec", "ours,asynq", kill},
	"door":   {15_000, "everysec,always", "ours,bare", knock},
	"fetch":  {100_000, "", "ours,git,go-git", fetch},
	"start":  {10, "", "ours", start},
	"big":    {50_000, "everysec", "ours", big},
	"soak":   {1800, "everysec", "ours", soak},
	"stop":   {100, "everysec", "ours", stop},
	"state":  {2000, "everysec", "1,1000,100000", state},
}

// children is what this program does when it has started itself.
var children = map[string]func(ctx context.Context, args []string) error{
	holdCommand:  hold,
	doorCommand:  serveDoor,
	fetchCommand: fetchOnce,
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := choose(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func choose(ctx context.Context, args []string) error {
	if len(args) > 0 && children[args[0]] != nil {
		return children[args[0]](ctx, args[1:])
	}
	if len(args) == 0 || measurements[args[0]].run == nil {
		return fmt.Errorf("say what to measure: %s", strings.Join(slices.Sorted(maps.Keys(measurements)), ", "))
	}
	m := measurements[args[0]]
	flags := flag.NewFlagSet("bench "+args[0], flag.ContinueOnError)
	n := flags.Int("n", m.n, "how much is done in one round")
	rounds := flags.Int("rounds", 5, "rounds of each side")
	fsync := flags.String("fsync", m.fsync, "appendfsync of the server: everysec, always or both")
	sides := flags.String("sides", m.sides, "whom to measure")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	o := options{n: *n, rounds: *rounds, fsync: strings.Split(*fsync, ","), sides: strings.Split(*sides, ","), base: "ours"}
	for _, s := range o.sides {
		if !slices.Contains(strings.Split(m.sides, ","), s) {
			return fmt.Errorf("-sides: %q is none of %s", s, m.sides)
		}
	}
	if o.n < 10 || o.rounds < 1 {
		return errors.New("-n is at least 10, -rounds at least 1")
	}
	return m.run(ctx, o)
}
